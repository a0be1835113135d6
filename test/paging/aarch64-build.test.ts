import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import { createRoot, FrameRange, GuestTables, isPagingError, map, unmap } from '../../src/paging/index.ts';
import type { OracleMemory } from '../support/oracles/oracle.ts';
import { oracleFor, type Subject, stage1, stage2 } from './support/aarch64-subjects.ts';

const SUBJECTS: readonly Subject[] = [
  stage1(4096, 48, 'upper', false),
  stage1(4096, 52, 'lower', true),
  stage1(16384, 47, 'lower', false),
  stage1(16384, 52, 'upper', true),
  stage1(65536, 48, 'lower', false),
  stage1(65536, 52, 'upper', true),
  stage2(4096, 43, 1, false),
  stage2(16384, 40, 2, false),
  stage2(65536, 33, 3, false),
  stage2(65536, 46, 2, true),
];

interface Wanted {
  readonly gva: bigint;
  readonly gpa: number;
  readonly length: number;
  readonly write: boolean;
  readonly execute: boolean;
  readonly user: boolean;
}

const FRAMES = 0x40_0000;

describe('AArch64 tables that were built', () => {
  for (const subject of SUBJECTS) {
    const { format, stage } = subject;
    it(`T7: ${format.name}: the oracle reads what was asked for, before and after a part is taken away`, () => {
      const granule = BigInt(format.tableSize);
      const start = format.upperBits === 'ones' ? 2n ** 64n - 2n ** BigInt(format.addressBits) : 0n;
      const pages = 2n ** BigInt(format.addressBits) / granule;
      // Where blocks begin is as interesting as anywhere.
      const page = (count: bigint): fc.Arbitrary<bigint> =>
        fc
          .record({ at: fc.bigInt(0n, count - 1n), zeros: fc.constantFrom(0, 0, 5, 9, 11, 13, 18) })
          .map(({ at, zeros }) => (at >> BigInt(zeros)) << BigInt(zeros));
      const request: fc.Arbitrary<Wanted> = fc
        .record({
          first: page(pages),
          to: page(2n ** BigInt(format.physicalBits) / granule),
          count: fc.oneof(fc.bigInt(1n, 40n), fc.bigInt(1n, 20_000n)),
          write: fc.boolean(),
          execute: fc.boolean(),
          user: fc.boolean(),
        })
        .filter(
          ({ first, to, count }) =>
            first + count <= pages && (to + count) * granule <= 2n ** BigInt(format.physicalBits),
        )
        .map(({ first, to, count, ...rights }) => ({
          gva: start + first * granule,
          gpa: Number(to * granule),
          length: Number(count * granule),
          ...rights,
        }));
      fc.assert(
        fc.property(fc.array(request, { minLength: 1, maxLength: 4 }), (requests) => {
          const memory = GuestMemory.allocate(0xc0_0000);
          const tables = new GuestTables(memory, { frames: new FrameRange(FRAMES, 0x80_0000) });
          createRoot(tables, format);
          const done = requests.filter((one) => tried(() => map(tables, { format, ...one })));
          assert(done.length > 0);
          const read: OracleMemory = (address) =>
            address < 0xc0_0000n ? memory.readU64(Number(address)) : undefined;
          const ask = oracleFor(subject, read, BigInt(tables.rootTable()), 6n, {});
          for (const one of done) for (const offset of offsets(one, granule)) check(one, offset);

          // A page in the middle of the first one.
          const [one] = done;
          assert(one !== undefined);
          const hole = (BigInt(one.length) / 2n / granule) * granule;
          unmap(tables, { format, gva: one.gva + hole, length: Number(granule) });
          for (const offset of offsets(one, granule)) {
            if (offset >= hole && offset < hole + granule) continue;
            check(one, offset);
          }
          const gone = ask(one.gva + hole, { kind: 'read', user: false });
          // A translation fault, of whatever level: tables that became empty were taken back.
          assert(gone.kind === 'fault' && [4, 5, 6, 7, 0x2b].includes(gone.fsc));

          function check({ gva, gpa, write, execute, user }: Wanted, offset: bigint): void {
            const allowed = (kind: 'read' | 'write' | 'execute', el0: boolean): boolean => {
              const result = ask(gva + offset, { kind, user: el0 });
              if (result.kind === 'mapped') assert.equal(result.pa, BigInt(gpa) + offset);
              else assert(result.kind === 'fault' && result.fsc >> 2 === 3, JSON.stringify(result.kind));
              return result.kind === 'mapped';
            };
            // Stage 2 does not tell EL0 and EL1 apart, but for execution, which is for both; in stage 1 it is for the one that
            // the page is for.
            const el0 = stage === 2 || user;
            assert.equal(allowed('read', false), true);
            assert.equal(allowed('write', false), write);
            assert.equal(allowed('read', true), el0);
            assert.equal(allowed('write', true), el0 && write);
            assert.equal(allowed('execute', true), execute && el0);
            assert.equal(allowed('execute', false), execute && (stage === 2 || !user));
          }
        }),
        { numRuns: 25 },
      );
    });
  }
});

/** The corners of a range, and some of its inside. */
function offsets({ length }: Wanted, granule: bigint): bigint[] {
  const size = BigInt(length);
  return [0n, granule - 1n, size / 2n, (size * 3n) / 7n, size - granule, size - 1n];
}

/** False where a range is taken already, or the frames do not suffice: then nothing was done. */
function tried(build: () => unknown): boolean {
  try {
    build();
    return true;
  } catch (error) {
    assert(isPagingError(error) && ['taken', 'no-frames', 'restricted'].includes(error.code), String(error));
    return false;
  }
}
