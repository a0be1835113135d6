import { formatRights, type MappingRecord, type Rights } from '../../paging/index.ts';
import type { Colors } from '../action.ts';
import { formatSize, hex, padHex } from './units.ts';

/** Whether somebody, be it user code or the kernel, can write a page and somebody can execute it. */
export function isWritableAndExecutable({ write, execute, supervisorExecute }: Rights): boolean {
  return write && (execute || supervisorExecute);
}

/** A stretch of mapped addresses. */
export type Mapped = Extract<MappingRecord, { kind: 'mapped' }>;

/** The headings over {@link ptRow}. */
export const PT_HEADINGS = 'virtual start     virtual end             size  perm  physical        page';

/** One line of the listing; memory that can be both written and executed stands out. */
export function ptRow(record: MappingRecord, colors: Colors): string {
  if (record.kind === 'budget') return '';
  const last = record.gva + BigInt(record.size) - 1n;
  const range = `${padHex(record.gva)}  ${padHex(last)}  ${formatSize(record.size).padStart(10)}`;
  switch (record.kind) {
    case 'mapped': {
      const { rights, gpa, pageSize } = record;
      const row = `${range}  ${formatRights(rights)}  ${padHex(gpa, 12)}  ${pageName(pageSize).padStart(4)}`;
      return isWritableAndExecutable(rights) ? colors.red(`${row}  W+X`) : row;
    }
    case 'alias':
      return `${range}  the same as from ${padHex(record.of)}`;
    case 'table-unreadable':
      return colors.yellow(`${range}  ????  the table at ${hex(record.address)} is not in the target`);
    case 'reserved':
      return colors.yellow(
        `${range}  ----  the entry at ${hex(record.entryAddress)} breaks a reserved-bit rule`,
      );
  }
}

/** A page size as its users spell it: `4K`, `2M`, `1G`. */
export function pageName(size: number): string {
  return formatSize(size).replace(/ (.)iB$/, '$1');
}
