import type { Command } from 'commander';
import {
  formatRights,
  type MappingRecord,
  mappings,
  type ReverseRecord,
  type Rights,
  reverseLookup,
} from '../../paging/index.ts';
import { describeLoss } from '../absence.ts';
import { type Console, setAction } from '../action.ts';
import { type AddressSpace, chooseAddressSpace } from '../address-space.ts';
import { CliError } from '../cli-error.ts';
import { ExitStatus } from '../exit-status.ts';
import { jsonArray } from '../format/json.ts';
import { isWritableAndExecutable, type Mapped, PT_HEADINGS, ptRow } from '../format/pt-report.ts';
import { hex, plural } from '../format/units.ts';
import { type GpaRange, parseGpaRange, parseGvaRange, parseLength } from '../parse.ts';
import { withTarget } from '../target.ts';
import { addAddressSpace, addTarget, type TranslatingOptions } from '../target-options.ts';

const EXAMPLE = `
Rights are effective: what all levels together allow. r w x, then u (user) or s (supervisor). X: what only the other of the
two may execute, as on AArch64 the kernel a page of user code (PXN clear), or user code a page of the kernel (UXN clear).

Examples:
  $ guestmem pt vm.elf --wx
  $ guestmem pt vm.elf --user --range 0x400000+16M
  $ guestmem pt vm.elf --maps 0x5000
  $ guestmem pt raw:ram.bin --cr3 0x1000 --paging x86-4level --json`;

interface PtOptions extends TranslatingOptions {
  readonly user?: boolean;
  readonly supervisor?: boolean;
  readonly wx?: boolean;
  readonly range?: string;
  readonly size?: string;
  readonly maps?: string;
}

/** `guestmem pt TARGET`: mapped ranges with their effective rights. */
export function registerPt(program: Command): void {
  const command = addTarget(program.command('pt').description('mapped ranges with effective rights'))
    .option('--user', 'only what user code may read, write or execute')
    .option('--supervisor', 'only what user code may not read, write or execute')
    .option('--wx', 'only what can be both written and executed, by whomever')
    .option('--range <start-end>', 'only within START-END (END exclusive), START+LENGTH, or START-')
    .option('--size <size>', 'only pages of this size: 4K, 2M, 1G, or what else the format has')
    .option('--maps <gpa>', 'only what maps the physical page of GPA, or the pages of GPA+LENGTH');
  setAction(addAddressSpace(command).addHelpText('after', EXAMPLE), pt);
}

/** What was met besides mapped ranges: it decides the exit status. */
interface Tally {
  shown: number;
  unreadable: number;
  stoppedAt: bigint | undefined;
}

function pt(console: Console, args: readonly string[], options: PtOptions): Promise<ExitStatus> {
  const wanted = filterOf(options);
  const range = options.range === undefined ? undefined : parseGvaRange(options.range);
  const physical = options.maps === undefined ? undefined : parseGpaRange(options.maps);
  return withTarget(console, args[0] ?? '', options, async (image) => {
    const space = chooseAddressSpace(image, options);
    const tally: Tally = { shown: 0, unreadable: 0, stoppedAt: undefined };
    const bounds = range === undefined ? {} : { first: range.start, last: range.end - 1n };
    const records = counted(everything(space, bounds, physical), wanted(space), tally);
    if (options.json === true) await console.out.lines(jsonArray(jsonOf(records)));
    else {
      await console.out.lines([
        console.colors.dim(`paging ${space.origin}`),
        console.colors.dim(PT_HEADINGS),
      ]);
      for (const record of records) await console.out.lines([ptRow(record, console.colors)]);
    }
    if (space.translators.length === 0) {
      console.notice('Paging is off: there are no tables to list');
      return ExitStatus.notFound;
    }
    return conclude(console, tally, describeLoss(image.ranges) !== undefined);
  });
}

/** All that is mapped, or that maps a physical range, in the order of addresses. */
function* everything(
  { translators }: AddressSpace,
  bounds: { readonly first?: bigint; readonly last?: bigint },
  physical: GpaRange | undefined,
): Generator<MappingRecord | ReverseRecord> {
  if (physical !== undefined) {
    yield* reverseLookup(translators, physical.start, physical.length, bounds);
    return;
  }
  for (const translator of translators) yield* mappings(translator, { ...bounds, expandAliases: true });
}

/** Whether a mapped range is asked for: all the filters that were given hold. */
function filterOf(options: PtOptions): (space: AddressSpace) => (record: Mapped) => boolean {
  if (options.user === true && options.supervisor === true) {
    throw new CliError('usage', 'Cannot use --user and --supervisor together: no page is both');
  }
  const size = options.size === undefined ? undefined : parseLength(options.size);
  return ({ translators }) => {
    // Where each mode has its own right to execute (AArch64), user code may execute what it cannot read.
    const apart = translators.some(({ format }) =>
      format.rights.some(({ right }) => right === 'supervisorExecute'),
    );
    const forUsers = ({ user, execute }: Rights): boolean => user || (apart && execute);
    return ({ rights, pageSize }) =>
      (options.user !== true || forUsers(rights)) &&
      (options.supervisor !== true || !forUsers(rights)) &&
      (options.wx !== true || isWritableAndExecutable(rights)) &&
      (size === undefined || size === BigInt(pageSize));
  };
}

/** Passes on what is to be shown, and counts. */
function* counted(
  records: Iterable<MappingRecord | ReverseRecord>,
  wanted: (record: Mapped) => boolean,
  tally: Tally,
): Generator<Exclude<MappingRecord, { kind: 'budget' }>> {
  for (const record of records) {
    if (record.kind === 'budget') {
      tally.stoppedAt = record.gva;
      return;
    }
    if (record.kind === 'mapped') {
      if (!wanted(record)) continue;
      tally.shown += 1;
    } else if (record.kind === 'table-unreadable') tally.unreadable += 1;
    yield record;
  }
}

function* jsonOf(records: Iterable<MappingRecord>) {
  for (const record of records) {
    if (record.kind !== 'mapped') continue;
    const { gva, gpa, size, pageSize, rights } = record;
    yield {
      gva: hex(gva),
      gpa: hex(gpa),
      size: hex(size),
      pageSize: hex(pageSize),
      rights: formatRights(rights),
    };
  }
}

/** @param lossIsSaid - that memory was lost is about to be said in one line, and each table is in the list above */
function conclude(console: Console, tally: Tally, lossIsSaid: boolean): ExitStatus {
  if (tally.stoppedAt !== undefined) {
    console.notice(
      `Stopped at ${hex(tally.stoppedAt)}: too many entries; go on with --range ${hex(tally.stoppedAt)}-`,
    );
  }
  if (tally.unreadable > 0 && !lossIsSaid)
    console.notice(`${plural(tally.unreadable, 'table')} could not be read from the target`);
  if (tally.stoppedAt !== undefined || tally.unreadable > 0) return ExitStatus.partial;
  if (tally.shown > 0) return ExitStatus.ok;
  console.notice('Nothing is mapped there');
  return ExitStatus.notFound;
}
