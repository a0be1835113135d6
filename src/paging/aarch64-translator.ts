import type { GuestMemory } from '../core/index.ts';
import type { AArch64Mode } from './aarch64-registers.ts';
import { accessCode, BY_USER, FETCHING, type PageAccess } from './access.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { PageTranslator, WalkedPage } from './address-translator.ts';
import type { AccessedDirty } from './architecture.ts';
import { PagingError } from './paging-error.ts';
import type { TableReadOps } from './table-ops.ts';
import type { Translation } from './translation.ts';
import { Translator } from './translator.ts';
import { TwoStageTranslator } from './two-stage-translator.ts';
import { WalkFault } from './walk-fault.ts';

/** What translates one half. */
type Half<TableAddr> = Translator<TableAddr> | TwoStageTranslator<TableAddr>;

/** Both halves of an address space, as {@link aarch64Stage1FromRegisters} tells them, and where the tables are. */
export interface AArch64TranslatorInit<TableAddr = number> {
  readonly lower: AArch64Mode;
  readonly upper: AArch64Mode;
  /** The memory that the tables are in; or `tables`. */
  readonly memory?: GuestMemory;
  /** The tables under a root. */
  readonly tables?: (root: number) => TableReadOps<TableAddr>;
  /**
   * Translates what both halves answer, where they are a guest's: see {@link TwoStageTranslator}. Then `tables` is asked by the
   * addresses that this one answers.
   */
  readonly second?: Translator | undefined;
  /** What becomes of pages that are not marked as accessed. Default `off`; as the processor does it: `mode.marking`. */
  readonly accessedDirty?: AccessedDirty;
}

/**
 * Translates addresses of both halves of an AArch64 address space: bit 55 says which root, and a top byte that is the
 * program's (TBI, of data only with TBID) is set aside.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { AArch64Translator, aarch64Stage1FromRegisters, VirtualMemory } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x1_0000);
 * memory.writeU64(0x1ff8, 0x2003n); // the upper half's level 1, last entry: a table
 * memory.writeU64(0x2ff8, 0x3003n); // level 2
 * memory.writeU64(0x3ff0, 0x8403n); // level 3: a page, accessed
 * memory.writeU32(0x8123, 0x600d_f00d);
 * const tcr = 0x2_8019_0099n; // T0SZ 25, EPD0, T1SZ 25, TG1 4 KiB, IPS 40 bits
 * const modes = aarch64Stage1FromRegisters({ tcr, ttbr0: 0n, ttbr1: 0x1000n });
 *
 * const translator = new AArch64Translator({ ...modes, memory });
 * const virtual = new VirtualMemory(memory, translator);
 * assert.equal(virtual.readU32(0xffff_ffff_ffff_e123n), 0x600d_f00d);
 * assert.equal(translator.translate(0x1000n).kind, 'not-canonical'); // the lower half is switched off
 * ```
 */
export class AArch64Translator<TableAddr = number> implements PageTranslator {
  readonly fault: WalkFault = new WalkFault();
  readonly rules: string;
  /** The translator of each half; `undefined` where every address is a fault. */
  readonly lower: Half<TableAddr> | undefined;
  readonly upper: Half<TableAddr> | undefined;
  private readonly modes: readonly [AArch64Mode, AArch64Mode];

  /** @throws PagingError `invalid` where a half has no tables (`off` or `big-endian`), or neither memory nor tables are given */
  constructor(init: AArch64TranslatorInit<TableAddr>) {
    this.modes = [init.lower, init.upper];
    this.lower = translatorOf(init.lower, init);
    this.upper = translatorOf(init.upper, init);
    const half = ({ tagsOfDataOnly, refusesUser }: AArch64Mode): string => `${tagsOfDataOnly} ${refusesUser}`;
    this.rules = `${this.lower?.rules} ${half(init.lower)} ${this.upper?.rules} ${half(init.upper)}`;
  }

  resolve(lo: number, hi: number, access: number): number {
    const translator = this.half(hi, access);
    if (translator === undefined) return this.refuse(lo, hi);
    const gpa = translator.resolve(lo, this.withoutTag(hi, access), access);
    return gpa < 0 ? this.failed(translator, hi) : gpa;
  }

  /** @throws PagingError `invalid` for a bigint outside 0 to 2^64-1 */
  resolveGva(gva: bigint, access: number): number {
    splitAddress(gva);
    return this.resolve(halvesOfAddress[0] as number, halvesOfAddress[1] as number, access);
  }

  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number {
    const translator = this.half(hi, access);
    if (translator === undefined) return this.refuse(lo, hi);
    const untagged = this.withoutTag(hi, access);
    const gpa = translator.resolvePage(lo, untagged, access, page);
    if (gpa < 0) return this.failed(translator, hi);
    const { tagsOfDataOnly, refusesUser } = this.mode(hi);
    if (refusesUser) page.accesses &= ~BY_USER;
    if (tagsOfDataOnly && untagged >>> 0 !== hi >>> 0) page.accesses &= ~FETCHING;
    return gpa;
  }

  /**
   * Translates one address for one access and tells every entry on the way. An address of a half that is switched off is
   * `not-canonical`, with the architecture's code, and so is one that E0PD keeps EL0 from.
   *
   * @throws PagingError `invalid` for a bigint outside 0 to 2^64-1, or an access that is none
   */
  translate(gva: bigint, access: PageAccess = { kind: 'read' }): Translation {
    splitAddress(gva);
    const hi = halvesOfAddress[1] as number;
    const code = accessCode(access);
    const translator = this.half(hi, code);
    if (translator === undefined)
      return {
        kind: 'not-canonical',
        gva,
        errorCode: this.mode(hi).faultCode ?? LEVEL_0_TRANSLATION,
        levels: [],
      };
    const stripped = (BigInt(this.withoutTag(hi, code) >>> 0) << 32n) | (gva & 0xffff_ffffn);
    return { ...translator.translate(stripped, access), gva };
  }

  /** The translator for an access; `undefined` where there is none to ask. */
  private half(hi: number, access: number): Half<TableAddr> | undefined {
    if (((BY_USER >>> access) & 1) !== 0 && this.mode(hi).refusesUser) return undefined;
    return isUpper(hi) ? this.upper : this.lower;
  }

  private mode(hi: number): AArch64Mode {
    return this.modes[isUpper(hi) ? 1 : 0];
  }

  /** Bits 63:56 as bit 55, where they are not looked at. */
  private withoutTag(hi: number, access: number): number {
    const { topByteIgnored, tagsOfDataOnly } = this.mode(hi);
    if (!topByteIgnored || (tagsOfDataOnly && ((FETCHING >>> access) & 1) !== 0)) return hi;
    return isUpper(hi) ? hi | 0xff00_0000 : hi & 0x00ff_ffff;
  }

  private refuse(lo: number, hi: number): -1 {
    const { fault } = this;
    fault.kind = 'not-canonical';
    fault.secondStage = undefined;
    fault.during = undefined;
    fault.gpa = -1;
    fault.errorCode = this.mode(hi).faultCode ?? LEVEL_0_TRANSLATION;
    fault.level = 0;
    fault.entryAddress = 0;
    fault.rights = -1;
    fault.lo = lo >>> 0;
    fault.hi = hi >>> 0;
    return -1;
  }

  /** Takes over a half's fault, with the address as it was asked for. */
  private failed(translator: Half<TableAddr>, hi: number): -1 {
    this.fault.copyFrom(translator.fault);
    this.fault.hi = hi >>> 0;
    return -1;
  }
}

/** Of an access by EL0 that E0PD refuses. */
const LEVEL_0_TRANSLATION = 0x04;

function isUpper(hi: number): boolean {
  return (hi & 0x0080_0000) !== 0;
}

function translatorOf<TableAddr>(
  { name, format, root, controls }: AArch64Mode,
  { memory, tables, second, accessedDirty = 'off' }: AArch64TranslatorInit<TableAddr>,
): Half<TableAddr> | undefined {
  if (name === 'faults') return undefined;
  const fail = (why: string): PagingError =>
    new PagingError('invalid', `Cannot translate for AArch64: ${why}`);
  if (format === undefined) throw fail(`current mode ${name}, wanted tables`);
  // HD is of no effect without HA.
  const hd = controls.hd === true && accessedDirty !== 'fault';
  const common = { format, controls: { ...controls, hd, accessedDirty } };
  if (tables !== undefined) {
    const reached = tables(Number(root));
    return second === undefined
      ? new Translator({ ...common, tables: reached })
      : new TwoStageTranslator({ ...common, root, second, tables: reached });
  }
  if (memory === undefined) throw fail('wanted memory or tables');
  if (second !== undefined) return new TwoStageTranslator({ ...common, memory, root, second });
  return new Translator({ ...common, memory, root });
}
