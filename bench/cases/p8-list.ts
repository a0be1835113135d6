import { GuestMemory, heap, shared } from 'guestmem';
import { createRoot, FrameRange, GuestTables, map, mappings, Translator, X86_4LEVEL } from 'guestmem/paging';
import type { BenchCase, Measurement } from '../harness/measurement.ts';
import { pollute } from '../harness/pollute.ts';

const RAM = 0x1_0000_0000;
/** Room for the 2,048 last tables and what is above them. */
const SIZE = 16 * 1024 * 1024;
const LEAVES = 2 ** 20;
const GVA = 0xffff_8880_0000_0000n;

/** A guest above 4 GiB with 4 GiB mapped in pages of 4 KiB. */
function guest(kind: 'heap' | 'shared', scattered: boolean): Translator {
  const memory = GuestMemory.fromRegions([
    { start: 0, backing: heap(0x10_0000) },
    { start: RAM, backing: kind === 'heap' ? heap(SIZE) : shared(SIZE) },
  ]);
  const tables = new GuestTables(memory, { frames: new FrameRange(RAM, SIZE) });
  createRoot(tables, X86_4LEVEL);
  map(tables, {
    format: X86_4LEVEL,
    gva: GVA,
    gpa: 0,
    length: LEAVES * 4096,
    maxPageSize: 4096,
    write: true,
  });
  if (scattered) {
    // Every sixteenth page is another one, as in a guest that has been running for a while.
    const [first] = mappings(new Translator({ tables, format: X86_4LEVEL }), { coalesce: false });
    if (first?.kind !== 'mapped') throw new Error('Nothing is mapped');
    for (let page = 7; page < LEAVES; page += 16) {
      const found = new Translator({ tables, format: X86_4LEVEL }).translate(GVA + BigInt(page * 4096));
      const entry = found.levels.at(-1);
      if (entry !== undefined) memory.writeU64(entry.entryAddress, entry.entry | (1n << 51n));
      page += 16 * 15;
    }
  }
  return new Translator({ tables, format: X86_4LEVEL });
}

function measurement(
  name: string,
  atLeast: number | undefined,
  kind: 'heap' | 'shared',
  coalesce: boolean,
  scattered = false,
): Measurement {
  return {
    name,
    ...(atLeast === undefined ? {} : { budget: { figure: 'M/s', atLeast } }),
    prepare() {
      pollute();
      const translator = guest(kind, scattered);
      return {
        operations: LEAVES,
        ours() {
          let records = 0;
          for (const record of mappings(translator, { coalesce })) if (record.kind === 'mapped') records++;
          return records;
        },
      };
    },
  };
}

const listing: BenchCase = {
  id: 'p8',
  title: '1,048,576 leaves of 4 KiB listed',
  measurements: [
    measurement('coalesced', 200, 'heap', true),
    measurement('coalesced, shared memory', undefined, 'shared', true),
    measurement('coalesced, one page in 256 elsewhere', undefined, 'heap', true, true),
    measurement('one by one', 50, 'heap', false),
  ],
};

export default listing;
