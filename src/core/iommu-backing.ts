import type { Access } from './access.ts';
import { ADDRESS_SPACE_SIZE } from './addresses.ts';
import { readWhole, refusalOf, writeWhole } from './alias-backing.ts';
import type { FallbackAccess, MemoryBacking } from './backing.ts';
import { GuestMemoryError, isGuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import { hex } from './hex.ts';
import type { IommuTranslation } from './iommu-translation.ts';
import type { MemoryViews } from './memory-view.ts';
import type { GuestRun } from './paged-range.ts';

/** A memory as a device behind an IOMMU addresses it: calls that translate the whole of each access, then make it there. */
export function iommuBacking(target: GuestMemory, translation: IommuTranslation): MemoryBacking {
  return {
    // The kind by which `copyFrom` knows that the bytes of other regions may be reached here.
    kind: 'translator',
    size: ADDRESS_SPACE_SIZE,
    fallback: new TranslatedAccess(target, translation),
  };
}

/** An access that one entry translates whole goes the short way, without allocating: most do. */
class TranslatedAccess implements FallbackAccess {
  private readonly target: GuestMemory;
  private readonly translation: IommuTranslation;
  /** What the last request that was not translated failed with, for {@link TranslatedAccess.explain}. */
  private refused: GuestMemoryError | undefined = undefined;

  constructor(target: GuestMemory, translation: IommuTranslation) {
    this.target = target;
    this.translation = translation;
  }

  read(iova: number, dest: Uint8Array): void {
    const gpa = this.translation.iotlb.find(iova, dest.length, 'read');
    if (gpa >= 0) {
      readWhole(this.target, gpa, dest);
      return;
    }
    this.eachRun(iova, dest.length, 'read', (run, done) =>
      readWhole(this.target, run.gpa, dest.subarray(done, done + run.length)),
    );
  }

  write(iova: number, src: Uint8Array): void {
    const gpa = this.translation.iotlb.find(iova, src.length, 'write');
    if (gpa >= 0) {
      writeWhole(this.target, gpa, src);
      return;
    }
    this.eachRun(iova, src.length, 'write', (run, done) =>
      writeWhole(this.target, run.gpa, src.subarray(done, done + run.length)),
    );
  }

  /** It tells what is there, so that the right to write alone is not enough. */
  compareExchange(iova: number, expected: Uint8Array, desired: Uint8Array): boolean {
    const width = expected.length;
    this.runs(iova, width, 'read');
    const [run, second] = this.runs(iova, width, 'write');
    if (run === undefined || second !== undefined) {
      throw new GuestMemoryError('misaligned', 'it lies in two runs of guest memory', {
        operation: 'compare exchange',
        gpa: iova,
        length: width,
      });
    }
    return this.target.compareExchangeBytes(run.gpa, expected, desired);
  }

  probe(iova: number, length: number, access: Access): number {
    const gpa = this.translation.iotlb.find(iova, length, access);
    if (gpa >= 0) return this.target.reach(gpa, length, access);
    const { runs, error } = this.translation.request(iova, length, access);
    this.refused = error;
    let done = 0;
    for (const run of runs) {
      const reached = this.target.reach(run.gpa, run.length, access);
      done += reached;
      if (reached < run.length) break;
    }
    return done;
  }

  /** Asked where `probe` answered short: for its fault, or for what the memory behind the translation refuses. */
  explain(iova: number, access: Access): unknown {
    if (this.refused?.failedAt === iova) return this.refused;
    const { runs, error } = this.translation.request(iova, 1, access);
    const [run] = runs;
    return error ?? (run && refusalOf(this.target, run.gpa, access));
  }

  /** All of it, or nothing. */
  lend(iova: number, length: number, access: Access): readonly MemoryViews[] {
    const runs = this.runs(iova, length, access);
    const lent: MemoryViews[] = [];
    try {
      for (const run of runs) lent.push(this.target.views(run.gpa, run.length, access));
    } catch (error) {
      for (const views of lent) views.release();
      throw error;
    }
    this.translation.lend();
    return lent;
  }

  /** A step for each run of a request; what one throws counts from the first byte of the request. */
  private eachRun(
    iova: number,
    length: number,
    access: 'read' | 'write',
    step: (run: GuestRun, done: number) => void,
  ): void {
    let done = 0;
    for (const run of this.runs(iova, length, access)) {
      try {
        step(run, done);
      } catch (cause) {
        const inner = isGuestMemoryError(cause) ? cause : undefined;
        done += inner?.done ?? 0;
        const facts = { operation: access, gpa: iova, length, failedAt: iova + done, done, cause };
        const where = `the memory behind failed at ${hex(iova + done)}`;
        throw new GuestMemoryError(inner?.code ?? 'fault', where, { ...facts, ready: inner?.ready });
      }
      done += run.length;
    }
  }

  private runs(iova: number, length: number, access: Access): readonly GuestRun[] {
    const { runs, error } = this.translation.request(iova, length, access);
    if (error !== undefined) throw error;
    return runs;
  }
}
