import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory, IommuView, type IotlbRights } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

describe('an IommuView against a map of bytes', () => {
  it('S4 M3: reads and writes what a table of each byte says, and nothing where a byte is missing', () => {
    const rights = fc.constantFrom<IotlbRights>('r', 'w', 'rw', 'rw');
    const mapping = fc.tuple(
      fc.nat(0x70),
      fc.nat(0x70),
      fc.integer({ min: 1, max: 0x30 }),
      rights,
      fc.boolean(),
    );
    const access = fc.tuple(fc.boolean(), fc.nat(0x7f), fc.integer({ min: 1, max: 0x28 }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(mapping, fc.array(access, { maxLength: 4 })), { maxLength: 12 }),
        (steps) => {
          const ram = GuestMemory.fromRanges([
            [0, 0x40],
            [0x40, 0x60],
          ]);
          const view = new IommuView({ memory: ram });
          const memory = view.memory();
          const bytes = new Uint8Array(0xa0);
          const table = new Map<number, { gpa: number; rights: IotlbRights }>();
          let seed = 0;
          for (const [[iova, gpa, length, right, gone], accesses] of steps) {
            if (gone) view.iotlb.unmap(iova, length);
            else view.iotlb.map(iova, gpa, length, right);
            for (let i = 0; i < length; i++) {
              if (gone) table.delete(iova + i);
              else table.set(iova + i, { gpa: gpa + i, rights: right });
            }
            for (const [write, at, count] of accesses) {
              const places = Array.from({ length: count }, (_, i) => table.get(at + i));
              const failing = places.findIndex((place) => place?.rights.includes(write ? 'w' : 'r') !== true);
              const data = pattern(count, ++seed);
              const act = (): void => (write ? memory.writeAt(at, data) : memory.readAt(at, data));
              if (failing >= 0) {
                const code = places[failing] === undefined ? 'unmapped' : 'denied';
                refused(act, { code, gpa: at, failedAt: at + failing, done: 0 });
              } else {
                act();
                places.forEach((place, i) => {
                  if (write) bytes[place?.gpa ?? 0] = data[i] ?? 0;
                });
                if (!write)
                  sameBytes(
                    data,
                    Uint8Array.from(places, (place) => bytes[place?.gpa ?? 0] ?? 0),
                  );
              }
              sameBytes(ram.readBytes(0, 0xa0), bytes);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
