import type { GuestMemory } from '../core/index.ts';
import { ACCESS_CODES, accessCode, accessFacts, type PageAccess } from './access.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { PageTranslator, WalkedPage } from './address-translator.ts';
import type { AccessFacts, SecondStageAccess } from './architecture.ts';
import { physical } from './bits.ts';
import type { PagingControls } from './controls.ts';
import { OpsEntryReader, storePhysical } from './entry-reader.ts';
import type { PagingFormat } from './format.ts';
import { MemoryEntryReader } from './memory-entry-reader.ts';
import { PagingError } from './paging-error.ts';
import { StagedEntryReader } from './staged-entry-reader.ts';
import type { StagedSource } from './staged-listing.ts';
import type { TableReadOps } from './table-ops.ts';
import type { Translation } from './translation.ts';
import { Translator } from './translator.ts';
import { WalkFault } from './walk-fault.ts';

/** What two stages are made from, wherever the first one's tables are. */
interface TwoStages {
  readonly format: PagingFormat;
  /** The guest's root register; the address in it is one that the second stage translates. */
  readonly root: bigint | number;
  readonly controls?: PagingControls;
  /** Translates the guest's physical addresses: EPT, nested paging, a G-stage, a stage 2. */
  readonly second: Translator;
}

/** Two stages, with the guest's tables in guest memory. */
export interface MemoryTwoStageInit extends TwoStages {
  /** The memory whose addresses the second stage answers. */
  readonly memory: GuestMemory;
}

/** Two stages, with the guest's tables wherever a {@link TableReadOps} reaches them. */
export interface TablesTwoStageInit<TableAddr> extends TwoStages {
  /**
   * Reads the guest's tables, by the addresses that the second stage answers; its own root is not asked for. Of a table larger
   * than 4 KiB each 4 KiB are a table here, for the second stage may have put them apart.
   */
  readonly tables: TableReadOps<TableAddr>;
}

/** What a translator through two stages is made from. */
export type TwoStageTranslatorInit<TableAddr = number> = MemoryTwoStageInit | TablesTwoStageInit<TableAddr>;

/**
 * Translates through two stages, as a processor does for a guest in a virtual machine: every entry of the guest's tables is
 * itself at an address that the second stage translates, and so is the page at the end.
 *
 * {@link TwoStageTranslator.reads} counts the entries: 24 for four levels over four, 35 for five over five.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { EPT_4LEVEL, Translator, TwoStageTranslator, X86_4LEVEL } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x20_0000);
 * memory.writeU64(0x10_0000, 0x10_1007n); // EPT PML4E
 * memory.writeU64(0x10_1000, 0x10_2007n); // EPT PDPTE
 * memory.writeU64(0x10_2000, 0x00_00b7n); // EPT PDE: the guest's first 2 MiB are ours
 * const second = new Translator({ memory, format: EPT_4LEVEL, root: 0x10_0000 });
 * memory.writeU64(0x1000, 0x2007n); // the guest's PML4E
 * memory.writeU64(0x2000, 0x3007n); // its PDPTE
 * memory.writeU64(0x3000, 0x0087n); // its PDE: a page of 2 MiB at 0
 * memory.writeU64(0x3008, 0x4000_0087n); // and one where the second stage has nothing
 * const both = new TwoStageTranslator({ memory, format: X86_4LEVEL, root: 0x1000, second });
 *
 * const mapped = both.translate(0x1234n);
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x1234);
 * const refused = both.translate(0x20_0000n);
 * assert(refused.kind === 'second-stage-fault');
 * assert.deepEqual([refused.during, refused.gpa], ['final-access', 0x4000_0000]);
 * ```
 */
export class TwoStageTranslator<TableAddr = number> implements PageTranslator {
  readonly rules: string;
  readonly fault: WalkFault = new WalkFault();
  readonly first: Translator;
  readonly second: Translator;
  /** For the other files of this room: what a listing works on. */
  readonly source: StagedSource;
  private readonly reader: StagedEntryReader;
  private readonly how: SecondStageAccess;
  /** For each access code, and whether the page is user mode's, the code of the access to the second stage. */
  private readonly finalCodes: Int32Array;
  private readonly page: WalkedPage = { sizeBits: 12, accesses: 0, global: false };
  private readonly hostPage: WalkedPage = { sizeBits: 12, accesses: 0, global: false };
  /** The first stage's output, as two halves. */
  private readonly between: Int32Array = new Int32Array(2);

  /** @throws PagingError `invalid` where a control or the root is out of range, or `second` cannot be a second stage */
  constructor(init: TwoStageTranslatorInit<TableAddr>) {
    const { format, root, controls, second } = init;
    const how = second.secondStage;
    if (how === undefined) {
      throw new PagingError(
        'invalid',
        `Cannot translate in two stages: ${second.format.title} is no second stage`,
      );
    }
    splitAddress(BigInt(root));
    const register = Int32Array.from(halvesOfAddress);
    const entries =
      'tables' in init
        ? new OpsEntryReader(init.tables, format.entrySize)
        : new MemoryEntryReader(init.memory, register, format.entrySize);
    this.second = second;
    this.how = how;
    this.reader = new StagedEntryReader(entries, register, second, how);
    this.first = new Translator({ reader: this.reader, format, controls });
    this.source = { first: this.first.source, entries, second: second.source, how };
    this.rules = `${this.first.rules} ${second.rules}`;
    this.finalCodes = finalCodesOf(how);
  }

  /** Entries of both stages that the last translation read. */
  get reads(): number {
    return this.reader.reads;
  }

  resolve(lo: number, hi: number, access: number): number {
    return this.walk(lo, hi, access, undefined);
  }

  /**
   * {@link resolve}, which also says into `page` what a TLB has to know: the accesses that both stages allow. Its size is that of
   * the first stage, by whose addresses a fence names it.
   */
  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number {
    const { finalCodes, hostPage } = this;
    const found = this.walk(lo, hi, access, hostPage);
    if (found < 0) return found;
    const userBit = this.first.pageIsUser ? 1 : 0;
    page.sizeBits = this.page.sizeBits;
    page.global = this.page.global;
    page.accesses = 0;
    for (let code = 0; code < ACCESS_CODES; code++) {
      const allowed = hostPage.accesses >>> (finalCodes[code * 2 + userBit] as number);
      page.accesses |= ((this.page.accesses >>> code) & allowed & 1) << code;
    }
    return found;
  }

  untagged(hi: number, access: number): number {
    return this.first.untagged(hi, access);
  }

  /** Both walks; the second stage's page is told where that is wanted. */
  private walk(lo: number, hi: number, access: number, hostPage: WalkedPage | undefined): number {
    const { first, second, reader, between } = this;
    reader.ask(factsOf(access), false);
    try {
      const at = first.resolvePage(lo, hi, access, this.page);
      if (at < 0) return this.firstFailed();
      storePhysical(between, at);
      second.asked.during = 'final-access';
      const code = this.finalCodes[access * 2 + (first.pageIsUser ? 1 : 0)] as number;
      const found =
        hostPage === undefined
          ? second.resolve(between[0] as number, between[1] as number, code)
          : second.resolvePage(between[0] as number, between[1] as number, code, hostPage);
      reader.reads += second.reads;
      return found < 0 ? this.refused(lo, hi, 'final-access', at) : found;
    } finally {
      reader.done();
    }
  }

  /** @throws PagingError `invalid` for a bigint outside 0 to 2^64-1 */
  resolveGva(gva: bigint, access: number): number {
    splitAddress(gva);
    return this.resolve(halvesOfAddress[0] as number, halvesOfAddress[1] as number, access);
  }

  /**
   * Translates one address for one access through both stages, and tells the guest's entries on the way. `gpa` of the
   * answer is the address that the second stage answers.
   *
   * @throws PagingError `invalid` for a bigint outside 0 to 2^64-1, or an access that is none
   */
  translate(gva: bigint, access: PageAccess = { kind: 'read' }): Translation {
    const { first, second, reader } = this;
    const facts = factsOf(accessCode(access));
    reader.ask(facts, true);
    try {
      const guest = first.translate(gva, access);
      const { levels } = guest;
      if (guest.kind !== 'mapped') {
        const { refusal: fault, lo, hi } = reader;
        if (fault === undefined) return guest;
        const gpa = physical(lo, hi);
        return { kind: 'second-stage-fault', gva, during: 'table-walk', gpa, fault, levels };
      }
      second.asked.during = 'final-access';
      const { gpa } = guest;
      const user = this.how.userOf(facts, guest.rights.user);
      const host = second.translate(BigInt(gpa), { kind: facts.kind, user, shadowStack: facts.shadowStack });
      reader.reads += second.reads;
      if (host.kind !== 'mapped')
        return { kind: 'second-stage-fault', gva, during: 'final-access', gpa, fault: host, levels };
      const pageSize = Math.min(guest.pageSize, host.pageSize);
      return { ...guest, gpa: host.gpa, pageSize, secondStage: host };
    } finally {
      reader.done();
    }
  }

  private firstFailed(): -1 {
    const { first, reader } = this;
    const { fault } = first;
    if (fault.kind === 'second-stage')
      return this.refused(fault.lo, fault.hi, 'table-walk', physical(reader.lo, reader.hi));
    this.fault.copyFrom(fault);
    return -1;
  }

  /** The second stage refused `gpa`. */
  private refused(lo: number, hi: number, during: 'table-walk' | 'final-access', gpa: number): -1 {
    const { fault, second } = this;
    const { kind } = second.fault;
    fault.copyFrom(second.fault);
    fault.kind = 'second-stage';
    fault.secondStage = kind === 'not-canonical' || kind === 'table-unreadable' ? kind : 'page-fault';
    fault.during = during;
    fault.gpa = gpa;
    fault.lo = lo >>> 0;
    fault.hi = hi >>> 0;
    return -1;
  }
}

/** For access code and U bit, `2 * code + user`: the code of the access to the second stage. */
function finalCodesOf(how: SecondStageAccess): Int32Array {
  return Int32Array.from({ length: 2 * ACCESS_CODES }, (_, i) => {
    const facts = accessFacts(i >>> 1);
    if (facts === undefined) return 0;
    const { kind, shadowStack } = facts;
    return accessCode({ kind, user: how.userOf(facts, (i & 1) !== 0), shadowStack });
  });
}

function factsOf(access: number): AccessFacts {
  const facts = accessFacts(access);
  if (facts === undefined) {
    throw new PagingError('invalid', `Cannot translate: current access code ${access}, wanted one of ACCESS`);
  }
  return facts;
}
