import { hex } from '../core/index.ts';
import { compileForEdit } from './compile-format.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { checkRange, type EditRange, type PageSpan } from './edit-range.ts';
import { entryOf, halvesOf } from './entry-halves.ts';
import type { EntrySlot } from './entry-slot.ts';
import type { Invalidation } from './invalidation.ts';
import { ungrouped } from './leaf-group.ts';
import type { Level } from './level.ts';
import { PagingError } from './paging-error.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, TABLE } from './verdict.ts';

/** What {@link shareTables} and {@link prepareTables} are to do. */
export interface ShareRequest extends Pick<EditRange, 'format' | 'controls' | 'changeShared'> {
  /** A multiple of what a table of the last level covers: 2 MiB on x86-64. */
  readonly gva: bigint;
  /** Bytes, a multiple of the same. */
  readonly length: number;
}

/** What {@link shareTables} did. */
export interface ShareResult {
  /** Entries copied: each leads to a table that both address spaces have now, or is a large page. */
  readonly shared: number;
  /** Tables allocated, on the way to those. */
  readonly tables: number;
  /** As in {@link MapResult.invalidations}. */
  readonly invalidations: readonly Invalidation[];
  readonly reloadRoot: boolean;
}

/**
 * Lets a second address space have the tables that a first one has for a range: as kernels do with their half of every
 * process. The upper-most entries below which the range covers everything are copied from the root of `from` to that of
 * `to`, and each table that they lead to gets a reference more. What is mapped, unmapped or protected inside these tables
 * from then on is so in both ({@link EditRange.changeShared}); `unmap` of the whole range in one leaves the other alone.
 *
 * What is not mapped in `from` stays as it is in `to`, and is not shared when it is mapped later: {@link prepareTables} makes
 * tables for all of a range before. A large page that no table leads to is copied, and each has its own.
 *
 * Both have to take their tables from one {@link FrameSource}, which counts. All or nothing: where anything stands in the way
 * the tables are as they were.
 *
 * @throws PagingError
 * - `invalid`, `misaligned`, `not-canonical`: the range is none of this format, or cuts a large page; the two do not count
 *   references in one place
 * - `taken`: something is mapped there already in `to`
 * - `restricted`: a table on the way in `to` does not allow the same as that in `from`
 * - `malformed`: an existing table entry has reserved bits set
 * - `table-unreadable`, `table-unwritable`: an existing table cannot be read, or written
 * - `shared`: the entries of `to` stand in a table that is shared already
 * - `no-frames`: there are not enough frames for the tables on the way
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { createRoot, FrameRange, GuestTables, map, shareTables, Translator, unmap, X86_4LEVEL } from 'guestmem/paging';
 *
 * const format = X86_4LEVEL;
 * const memory = GuestMemory.allocate(0x10_0000);
 * const frames = new FrameRange(0x8_0000, 0x8_0000);
 * const [first, second] = [new GuestTables(memory, { frames }), new GuestTables(memory, { frames })];
 * createRoot(first, format);
 * createRoot(second, format);
 *
 * const kernel = { format, gva: 0xffff_8000_0000_0000n, length: 2 ** 47 };
 * map(first, { ...kernel, gpa: 0x5000, length: 0x1000 });
 * assert.equal(shareTables(first, second, kernel).shared, 1);
 *
 * map(first, { ...kernel, gva: kernel.gva + 0x1000n, gpa: 0x6000, length: 0x1000, changeShared: true });
 * const translator = new Translator({ tables: second, format });
 * assert.equal(translator.translate(kernel.gva + 0x1000n).kind, 'mapped');
 *
 * assert.equal(unmap(first, kernel).freed, 0);
 * assert.equal(translator.translate(kernel.gva).kind, 'mapped');
 * assert.equal(unmap(second, kernel).freed, 3);
 * ```
 */
export function shareTables<TableAddr>(
  from: TableOps<TableAddr>,
  to: TableOps<TableAddr>,
  request: ShareRequest,
): ShareResult {
  const subject = `Cannot share ${hex(request.length)} bytes at ${hex(request.gva)}`;
  const compiled = compileForEdit(request.format, request.controls);
  const span = checkTableRange(compiled, request, subject);
  const source = new TableEditor(from, compiled, subject);
  const editor = new TableEditor(to, compiled, subject, request);
  const sharing = new Sharing(source, editor, span);
  const {
    freed: _freed,
    steps: _steps,
    ...outcome
  } = editor.run(
    (root) => sharing.share(compiled.top, from.rootTable(), root, true, 0, NOTHING_ABOVE, NOTHING_ABOVE),
    undefined,
  );
  return { shared: sharing.entries, ...outcome };
}

/** Checks that a range is one of whole tables of the last level. */
export function checkTableRange(compiled: CompiledFormat, request: ShareRequest, subject: string): PageSpan {
  const span = checkRange(compiled, request, subject);
  const wanted = (compiled.levels.at(-2)?.tableSpan ?? compiled.upperHalf) * 4096;
  const { gva, length } = request;
  if (gva % BigInt(wanted) !== 0n || length % wanted !== 0) {
    const why = `wanted an address and a length that are multiples of ${hex(wanted)}, as tables are`;
    throw new PagingError('misaligned', `${subject}: ${why}`, { gva });
  }
  return span;
}

/** What the entries on the way to a table hand down: the AND of their lower halves, the OR of the upper ones, and marks. */
interface Above {
  readonly andLo: number;
  readonly orHi: number;
  readonly orLo: number;
}

const NOTHING_ABOVE: Above = { andLo: -1, orHi: 0, orLo: 0 };

/** One call of {@link shareTables}. */
class Sharing<TableAddr> {
  entries = 0;
  private readonly source: TableEditor<TableAddr>;
  private readonly editor: TableEditor<TableAddr>;
  private readonly first: number;
  private readonly last: number;

  constructor(source: TableEditor<TableAddr>, editor: TableEditor<TableAddr>, { first, last }: PageSpan) {
    this.source = source;
    this.editor = editor;
    this.first = first;
    this.last = last;
  }

  share(
    level: Level,
    table: TableAddr,
    target: TableAddr,
    exists: boolean,
    base: number,
    above: Above,
    targetAbove: Above,
  ): void {
    const { source, editor, first, last } = this;
    for (const theirs of source.slots(level, table, true, base, first, last)) {
      if (theirs.verdict === NOT_PRESENT) continue;
      if (theirs.verdict !== TABLE && theirs.verdict !== LEAF) throw source.unusable(theirs);
      const index = (theirs.base - base) / level.tableSpan;
      const ours = exists
        ? editor.slot(level, target, true, base, index)
        : editor.emptySlot(level, target, base, index);
      const whole = theirs.base >= first && theirs.base + level.tableSpan - 1 <= last;
      if (whole) this.copy(theirs, ours, above, targetAbove);
      else this.descend(theirs, ours, above, targetAbove);
    }
  }

  /** Gives a whole entry to the second address space. */
  private copy(
    theirs: EntrySlot<TableAddr>,
    ours: EntrySlot<TableAddr>,
    above: Above,
    targetAbove: Above,
  ): void {
    const { editor, source } = this;
    const { format } = editor.compiled;
    if (ours.verdict !== NOT_PRESENT) throw editor.entryError('taken', 'something is mapped there', ours);
    if (this.handsDown(above) !== this.handsDown(targetAbove))
      throw editor.entryError('restricted', 'the tables above do not allow the same', ours);
    if (theirs.verdict === TABLE) this.retain(source.target(theirs), ours);
    // A large page may be one of a group here, and its neighbours may not come along.
    const { lo, hi } = ungrouped(theirs);
    const isTable = theirs.verdict === TABLE;
    editor.write(ours, entryOf(lo, hi), { links: isTable });
    // Of what lies below a table some may be global.
    if (ours.exists && format.remembersAbsence === true)
      editor.invalidate(ours, 'added', isTable, isTable || theirs.level.isGlobal(lo, hi));
    this.entries++;
  }

  /** Shares what lies below an entry, of which the range covers a part. */
  private descend(
    theirs: EntrySlot<TableAddr>,
    ours: EntrySlot<TableAddr>,
    above: Above,
    targetAbove: Above,
  ): void {
    const { editor, source, first } = this;
    const { level, base } = theirs;
    if (theirs.verdict === LEAF)
      throw editor.error(
        'misaligned',
        `the range cuts a page of ${hex(level.pageSize)} bytes`,
        Math.max(first, base),
      );
    const table = source.target(theirs);
    const passed = pass(above, theirs);
    if (ours.verdict === NOT_PRESENT) {
      // A new table allows what the one that it stands for allows.
      const created = editor.create(Math.max(first, base));
      this.share(level.next, table, created, false, base, passed, pass(targetAbove, theirs));
      editor.write(ours, this.like(theirs, created), { links: true });
      if (ours.exists && editor.compiled.format.remembersAbsence === true)
        editor.invalidate(ours, 'added', true, true);
      return;
    }
    if (ours.verdict !== TABLE) throw editor.entryError('taken', 'something is mapped there', ours);
    this.share(level.next, table, editor.below(ours), true, base, passed, pass(targetAbove, ours));
  }

  /** Counts that a table is one of the second address space too, unless nobody counts and it is never given back. */
  private retain(table: TableAddr, ours: EntrySlot<TableAddr>): void {
    const { editor, source } = this;
    const counted = (tables: TableOps<TableAddr>): number => tables.tableReferences?.(table) ?? 0;
    const before = counted(source.tables);
    if (before === 0 && counted(editor.tables) === 0) return;
    if (counted(editor.tables) > 0 && editor.tables.retainTable !== undefined) editor.retain(table);
    if (counted(source.tables) !== before + 1)
      throw editor.entryError('invalid', 'wanted tables that both count in one FrameSource', ours);
  }

  /** An entry as another is, that points to another table. */
  private like({ lo, hi }: EntrySlot<TableAddr>, table: TableAddr): bigint {
    const { tableAddress } = this.editor.compiled;
    const [gpaLo, gpaHi] = halvesOf(this.editor.tables.toPhys(table));
    return entryOf(
      (lo & ~tableAddress.entryLo(-1, -1)) | tableAddress.entryLo(gpaLo, gpaHi),
      (hi & ~tableAddress.entryHi(-1)) | tableAddress.entryHi(gpaHi),
    );
  }

  private handsDown({ andLo, orHi, orLo }: Above): string {
    const { compiled } = this.editor;
    return `${compiled.inherited(andLo, orHi)} ${orLo & compiled.inheritedLo}`;
  }
}

function pass<TableAddr>({ andLo, orHi, orLo }: Above, { level, lo, hi }: EntrySlot<TableAddr>): Above {
  return { andLo: andLo & (lo | level.noRights), orHi: orHi | hi, orLo: orLo | lo };
}
