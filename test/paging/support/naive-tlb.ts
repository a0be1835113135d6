import type { TlbFence, TlbStage, WalkedPage } from '../../../src/paging/index.ts';

/** One translation that was walked, of one page of 4 KiB. */
export interface NaiveEntry extends Readonly<WalkedPage> {
  readonly asid: number;
  readonly vmid: number;
  readonly stage: TlbStage;
  readonly rules: string;
  /** Number of the virtual page. */
  readonly page: bigint;
  /** Where it is. */
  readonly gpa: number;
}

/** Who looks something up. */
export interface NaiveSpace {
  readonly asid: number;
  readonly vmid: number;
  readonly stage: TlbStage;
  readonly translator: { readonly rules: string };
}

/** A TLB as a list of everything that was ever walked and that no fence named since. */
export class NaiveTlb {
  private entries: NaiveEntry[] = [];

  /** A newer entry of the same space takes the place of an older one. */
  add(entry: NaiveEntry): void {
    this.entries = this.entries.filter(
      (old) =>
        !(
          old.page === entry.page &&
          old.asid === entry.asid &&
          old.vmid === entry.vmid &&
          old.stage === entry.stage &&
          old.rules === entry.rules
        ),
    );
    this.entries.push(entry);
  }

  /** Everything that may answer. */
  find(space: NaiveSpace, gva: bigint, access: number): NaiveEntry[] {
    return this.entries.filter(
      (entry) =>
        entry.stage === space.stage &&
        entry.vmid === space.vmid &&
        entry.rules === space.translator.rules &&
        (entry.global || entry.asid === space.asid) &&
        entry.page === gva >> 12n &&
        ((entry.accesses >>> access) & 1) === 1,
    );
  }

  invalidate({ address, asid, vmid, keepGlobal = false, stage }: TlbFence): void {
    this.entries = this.entries.filter((entry) => {
      if (stage !== undefined && entry.stage !== stage) return true;
      if (vmid !== undefined && entry.vmid !== vmid) return true;
      if (asid !== undefined && entry.asid !== asid && !entry.global) return true;
      if (keepGlobal && entry.global) return true;
      const shift = BigInt(entry.sizeBits - 12);
      return address !== undefined && (address >> 12n) >> shift !== entry.page >> shift;
    });
  }
}

/** An address as bits 31:0 and 63:32. */
export function halves(gva: bigint): { readonly lo: number; readonly hi: number } {
  return { lo: Number(BigInt.asIntN(32, gva)), hi: Number(BigInt.asIntN(32, gva >> 32n)) };
}
