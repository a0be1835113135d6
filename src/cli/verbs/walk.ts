import type { Command } from 'commander';
import { type MemoryImage, whyUnreadable } from '../../image/index.ts';
import type { OneStageTranslation, PageAccess } from '../../paging/index.ts';
import { type Console, setAction } from '../action.ts';
import {
  type AddressSpace,
  chooseAddressSpace,
  translateIn,
  translatorFor,
  withoutTag,
} from '../address-space.ts';
import { CliError } from '../cli-error.ts';
import { ExitStatus } from '../exit-status.ts';
import { jsonText } from '../format/json.ts';
import { hex, padHex } from '../format/units.ts';
import { walkJson } from '../format/walk-json.ts';
import { walkReport } from '../format/walk-report.ts';
import { parseGpa, parseU64 } from '../parse.ts';
import { withTarget } from '../target.ts';
import { addAddressSpace, addTarget, type TranslatingOptions } from '../target-options.ts';

const EXAMPLE = `
Exit status: 0 mapped, 1 not mapped in the guest, 4 a table is not in the target, so nobody can say.

Examples:
  $ guestmem walk vm.elf 0xffffffff81000000
  $ guestmem walk qemu:/run/vm/qmp.sock 0x7f0000001000 --user --access write`;

interface WalkOptions extends TranslatingOptions {
  readonly access?: string;
  readonly user?: boolean;
}

/** `guestmem walk TARGET GVA`: every level of one translation, or the fault. */
export function registerWalk(program: Command): void {
  const command = addTarget(
    program.command('walk').alias('vtop').description('every level of one translation'),
  )
    .argument('<gva>', 'virtual address: decimal or 0x hex')
    .option('--access <kind>', 'read, write or execute (default: read)')
    .option('--user', 'as user code, not as the kernel');
  setAction(addAddressSpace(command).addHelpText('after', EXAMPLE), walk);
}

function walk(console: Console, args: readonly string[], options: WalkOptions): Promise<ExitStatus> {
  const typed = parseU64(args[1] ?? '');
  const access = accessOf(options);
  return withTarget(console, args[0] ?? '', options, async (image) => {
    const space = chooseAddressSpace(image, options);
    const gva = withoutTag(space, typed, access);
    const translator = translatorFor(space, gva);
    if (translator === undefined) return walkUnpaged(console, image, space, args[1] ?? '', options);
    const translation = translateIn(space, translator, gva, access);
    if (options.json === true) await console.out.lines([jsonText(walkJson(translation))]);
    else {
      await console.out.lines([
        `${console.colors.bold(`gva   ${padHex(gva)}`)}`,
        console.colors.dim(`paging ${space.origin}`),
        ...walkReport(translation, translator.format, console.colors),
        ...notes(image, translation),
      ]);
    }
    return statusOf(translation);
  });
}

function accessOf(options: WalkOptions): PageAccess {
  const kinds = ['read', 'write', 'execute'] as const;
  const kind = kinds.find((candidate) => candidate === (options.access ?? 'read'));
  if (kind === undefined) {
    throw new CliError(
      'usage',
      `Cannot walk for access ${JSON.stringify(options.access)}: want ${kinds.join(', ')}`,
    );
  }
  return { kind, user: options.user === true };
}

function statusOf(translation: OneStageTranslation): ExitStatus {
  if (translation.kind === 'mapped') return ExitStatus.ok;
  return translation.kind === 'table-unreadable' ? ExitStatus.partial : ExitStatus.notFound;
}

/** What the tables alone do not say: is the byte at the end, or the table on the way, absent in the guest or here? */
function notes(image: MemoryImage, translation: OneStageTranslation): string[] {
  switch (translation.kind) {
    case 'mapped': {
      const why = whyUnreadable(image, translation.gpa);
      return why === undefined ? [] : [why.message];
    }
    case 'page-fault':
      return translation.reason === 'not-present' ? ['Absent in the guest: its own tables say so'] : [];
    case 'table-unreadable': {
      const why = whyUnreadable(image, translation.address);
      return [`Absent in the target, the guest may have it: ${why?.message ?? 'the entry cannot be read'}`];
    }
    case 'not-canonical':
      return [];
  }
}

/** With paging off a linear address is the physical one, and the guest has no tables to show. */
async function walkUnpaged(
  console: Console,
  image: MemoryImage,
  space: AddressSpace,
  text: string,
  options: WalkOptions,
): Promise<ExitStatus> {
  const gpa = parseGpa(text);
  if (options.json === true) {
    const json = { gva: hex(gpa), gpa: hex(gpa), pageSize: null, rights: 'rwxu', levels: [], fault: null };
    await console.out.lines([jsonText(json)]);
    return ExitStatus.ok;
  }
  const why = whyUnreadable(image, gpa);
  await console.out.lines([
    console.colors.bold(`gva   ${padHex(gpa)}`),
    console.colors.dim(`paging ${space.origin}`),
    `${console.colors.bold(`gpa   ${padHex(gpa, 12)}`)}  paging is off: linear addresses are physical`,
    ...(why === undefined ? [] : [why.message]),
  ]);
  return ExitStatus.ok;
}
