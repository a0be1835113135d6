import { describeTranslation, formatRights, type Translation } from '../../paging/index.ts';
import type { JsonValue } from './json.ts';
import { hex } from './units.ts';

/** One translation as the JSON of `guestmem walk`: `fault` is null when it is mapped. */
export function walkJson(translation: Translation): JsonValue {
  const mapped = translation.kind === 'mapped' ? translation : undefined;
  const rights = 'rights' in translation ? translation.rights : undefined;
  return {
    gva: hex(translation.gva),
    gpa: mapped === undefined ? null : hex(mapped.gpa),
    pageSize: mapped === undefined ? null : hex(mapped.pageSize),
    rights: rights === undefined ? null : formatRights(rights),
    levels: translation.levels.map(({ level, entryAddress, entry }) => ({
      level,
      entryAddress: hex(entryAddress),
      entry: hex(entry),
    })),
    fault: faultJson(translation),
  };
}

function faultJson(translation: Translation): JsonValue {
  const common = { kind: translation.kind, message: describeTranslation(translation) };
  switch (translation.kind) {
    case 'page-fault':
      return {
        ...common,
        reason: translation.reason,
        errorCode: hex(translation.errorCode),
        level: translation.level,
        entryAddress: hex(translation.entryAddress),
      };
    case 'table-unreadable':
      return { ...common, level: translation.level, entryAddress: hex(translation.address) };
    case 'not-canonical':
      return { ...common, errorCode: hex(translation.errorCode) };
    case 'second-stage-fault':
      return {
        ...common,
        during: translation.during,
        gpa: hex(translation.gpa),
        secondStage: faultJson(translation.fault),
      };
    case 'mapped':
      return null;
  }
}
