import { hex } from '../core/index.ts';
import { compileForEdit } from './compile-format.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { checkRange, type EditRange, type PageSpan } from './edit-range.ts';
import type { EditStep } from './edit-step.ts';
import { decodeLeaf, type LeafAttributes, leafAddress, otherGrants, residue } from './entry-codec.ts';
import type { EntrySlot } from './entry-slot.ts';
import { checkExecute, type ExecuteRequest, executeChange, type RightsChange } from './execute-rights.ts';
import type { Invalidation } from './invalidation.ts';
import type { Level } from './level.ts';
import { RIGHT_BITS, type RightName, USER } from './rights.ts';
import { TableEditor } from './table-editor.ts';
import type { TableOps } from './table-ops.ts';
import { LEAF, NOT_PRESENT, SPECIAL_LEAF, TABLE } from './verdict.ts';

/** What {@link protect} is to change. What is absent stays as it is. */
export interface ProtectRequest extends EditRange, ExecuteRequest {
  /** Only where the format can deny reading: EPT, RISC-V, second stages of AArch64. */
  readonly read?: boolean;
  readonly write?: boolean;
  /** Does not change who may execute: name `execute` as well where that is to follow. */
  readonly user?: boolean;
  readonly global?: boolean;
  /** As the format has it: see `MappedTranslation.memoryType`. */
  readonly memoryType?: number;
  /** 0 to 15, where the format has keys. */
  readonly protectionKey?: number;
  /** As in {@link MapRequest.software}. */
  readonly software?: number;
  readonly accessed?: boolean;
  readonly dirty?: boolean;
}

/** What {@link protect} did. */
export interface ProtectResult {
  /** Leaves written. */
  readonly leaves: number;
  /** Tables allocated, to split pages that the range cuts. */
  readonly tables: number;
  /** What has to go from the hardware's caches. */
  readonly invalidations: readonly Invalidation[];
  /** Where entries had to be broken first (AArch64): everything that was done, in its order. Else empty. */
  readonly steps: readonly EditStep[];
  readonly reloadRoot: boolean;
}

/**
 * Changes what is allowed on a range of virtual addresses, or another attribute of its pages. A large page that the range
 * cuts is split. Of pages that the hardware may take for one (AArch64's contiguous bit, RISC-V's Svnapot) either all are
 * changed, or they become single pages first.
 *
 * All or nothing: where anything stands in the way the tables are as they were.
 *
 * @throws PagingError
 * - `invalid`, `misaligned`, `not-canonical`: the range is none of this format, or it cannot express what is asked
 * - `not-mapped`: a page of the range is not mapped
 * - `restricted`: a table entry above the range does not allow what is asked
 * - `malformed`: an existing table entry has reserved bits set
 * - `table-unreadable`: an existing table cannot be read
 * - `table-unwritable`: an existing table, or the frame for a new one, cannot be written
 * - `shared`: other entries lead to a table that would be changed: see {@link EditRange.changeShared}
 * - `no-frames`: there are not enough frames to split a page
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BufferTables, createRoot, map, protect, Translator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const tables = new BufferTables(new Uint8Array(0x8000), 0x1000);
 * createRoot(tables, X86_4LEVEL);
 * map(tables, { format: X86_4LEVEL, gva: 0n, gpa: 0, length: 0x4000, write: true });
 * const { leaves, invalidations } = protect(tables, { format: X86_4LEVEL, gva: 0x1000n, length: 0x2000, write: false });
 * assert.equal(leaves, 2);
 * assert.deepEqual(invalidations, [
 *   { gva: 0x1000n, size: 0x2000, pageSize: 0x1000, why: 'changed', tables: false, global: false },
 * ]);
 * assert.equal(new Translator({ tables, format: X86_4LEVEL }).translate(0x1000n, { kind: 'write' }).kind, 'page-fault');
 * ```
 */
export function protect<TableAddr>(tables: TableOps<TableAddr>, request: ProtectRequest): ProtectResult {
  const compiled = compileForEdit(request.format, request.controls);
  const subject = `Cannot protect ${hex(request.length)} bytes at ${hex(request.gva)}`;
  const span = checkRange(compiled, request, subject);
  const editor = new TableEditor(tables, compiled, subject, request);
  const protection = new Protection(editor, compiled, request, span);
  const { freed: _, ...outcome } = editor.run(
    (root) => protection.change(compiled.top, root, true, 0, -1, 0),
    request.invalidate,
  );
  return { leaves: protection.leaves, ...outcome };
}

const RIGHTS: readonly RightName[] = ['read', 'write', 'execute', 'user', 'supervisorExecute'];
/** What is the same for all pages; execution depends on whom a page is for. */
const DATA_RIGHTS = ['read', 'write', 'user'] as const;

/** One call of {@link protect}. */
class Protection<TableAddr> {
  leaves = 0;
  private readonly editor: TableEditor<TableAddr>;
  private readonly compiled: CompiledFormat;
  private readonly request: ProtectRequest;
  private readonly first: number;
  private readonly last: number;
  /** What becomes of the rights of a page that is for the supervisor, and of one that is for user mode. */
  private readonly onSupervisorPages: RightsChange;
  private readonly onUserPages: RightsChange;

  constructor(
    editor: TableEditor<TableAddr>,
    compiled: CompiledFormat,
    request: ProtectRequest,
    { first, last }: PageSpan,
  ) {
    this.editor = editor;
    this.compiled = compiled;
    this.request = request;
    this.first = first;
    this.last = last;
    this.onSupervisorPages = this.rightsChange(false);
    this.onUserPages = this.rightsChange(true);
    checkExecute(compiled, request, (why) => editor.error('invalid', why, first));
    compiled.checkAttributes(request, (why) => editor.error('invalid', why, first));
  }

  /** The rights to add and to take away, as far as the format has bits for them. */
  private rightsChange(user: boolean): RightsChange {
    const { compiled, editor, request } = this;
    let { granted, denied } = executeChange(compiled, request, user);
    for (const right of DATA_RIGHTS) {
      if (request[right] === true) granted |= RIGHT_BITS[right];
      if (request[right] === false) denied |= RIGHT_BITS[right];
    }
    const inexpressible = denied & ~compiled.expressible(denied);
    if (inexpressible !== 0) {
      const names = RIGHTS.filter((right) => (RIGHT_BITS[right] & inexpressible) !== 0);
      throw editor.error('invalid', `${compiled.format.title} cannot deny: ${names.join(', ')}`, this.first);
    }
    return { granted: compiled.expressible(granted), denied };
  }

  change(level: Level, table: TableAddr, exists: boolean, base: number, andLo: number, orHi: number): void {
    for (const slot of this.editor.slotsToChange(level, table, exists, base, this.first, this.last))
      this.changeSlot(slot, andLo, orHi);
  }

  private changeSlot(slot: EntrySlot<TableAddr>, andLo: number, orHi: number): void {
    const { editor, first, last } = this;
    const { level, base, exists, verdict, lo, hi } = slot;
    switch (verdict) {
      case NOT_PRESENT:
        throw editor.error('not-mapped', 'nothing is mapped there', Math.max(first, base));
      case TABLE:
        this.change(
          level.next,
          editor.belowOnce(slot),
          exists,
          base,
          andLo & (lo | level.noRights),
          orHi | hi,
        );
        return;
      case LEAF:
      case SPECIAL_LEAF:
        if (base >= first && base + level.tableSpan - 1 <= last) this.changeLeaf(slot, andLo, orHi);
        else this.change(level.next, editor.split(slot), false, base, andLo, orHi);
        return;
      default:
        throw editor.unusable(slot);
    }
  }

  private changeLeaf(slot: EntrySlot<TableAddr>, andLo: number, orHi: number): void {
    const { editor, compiled, request } = this;
    const { level, lo, hi, base } = slot;
    const before = decodeLeaf(level, lo, hi);
    const inherited = compiled.inherited(andLo, orHi);
    const isUser = request.user ?? (before.rights & inherited & USER) !== 0;
    const { granted, denied } = isUser ? this.onUserPages : this.onSupervisorPages;
    const rights = (before.rights | granted) & ~denied;
    if ((granted & ~inherited) !== 0)
      throw editor.error('restricted', 'a table above does not allow what is asked', base, level);
    const flag = (wanted: boolean | undefined, otherwise: number): number =>
      wanted === undefined ? otherwise : Number(wanted);
    const after: LeafAttributes = {
      rights,
      memoryType: request.memoryType ?? before.memoryType,
      global: flag(request.global, before.global),
      accessed: flag(request.accessed, before.accessed),
      dirty: flag(request.dirty, before.dirty),
      protectionKey: request.protectionKey ?? before.protectionKey,
      software: request.software ?? before.software,
    };
    const gpa = leafAddress(level, lo, hi);
    const grants = otherGrants(level, lo, hi, denied);
    const entry = editor.leaves.encode(level, gpa, after, base, residue(level, lo, hi) & ~grants);
    this.leaves++;
    if (entry === ((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0))) return;
    const otherKind = after.memoryType !== before.memoryType;
    const wider =
      !otherKind &&
      grants === 0n &&
      after.global === before.global &&
      after.protectionKey === before.protectionKey &&
      after.accessed >= before.accessed &&
      after.dirty >= before.dirty &&
      (before.rights & ~rights) === 0;
    // D8.16: what makes a page global is no change in place, for the pages that are not may be cached in every address space.
    const broken = compiled.format.breakBeforeMake === true && (otherKind || after.global > before.global);
    editor.write(slot, entry, { broken });
    if (slot.exists) editor.invalidate(slot, wider ? 'widened' : 'changed', false, after.global !== 0);
  }
}
