import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GuestMemory } from '../../../src/core/index.ts';
import type { PagingFormat } from '../../../src/paging/index.ts';
import {
  ACCESSES,
  type AllControls,
  assertSame,
  buildChain,
  PLAIN,
  pairOf,
  ROOT,
  setEntry,
} from './riscv-machine.ts';

/** Harts that differ in everything that a bit's meaning depends on. */
const HARTS: readonly (readonly [string, AllControls])[] = [
  ['everything on, nothing marked', PLAIN],
  [
    'no extensions, 40 bits, Svade',
    {
      ...PLAIN,
      svnapot: false,
      svpbmt: false,
      physicalBits: 40,
      accessedDirty: 'fault',
    },
  ],
  [
    'SUM and MXR, Svrsw60t59b, Svadu',
    { ...PLAIN, sum: true, mxr: true, svrsw60t59b: true, accessedDirty: 'update' },
  ],
  ['Zicfiss, Svade', { ...PLAIN, sse: true, accessedDirty: 'fault' }],
  ['Zicfiss, SUM and MXR, Svadu', { ...PLAIN, sse: true, sum: true, mxr: true, accessedDirty: 'update' }],
];

/** V with R W X U G A D as letters. */
function flags(letters: string): bigint {
  return [...'rwxugad'].reduce(
    (entry, letter, at) => (letters.includes(letter) ? entry | (2n << BigInt(at)) : entry),
    1n,
  );
}

const LEAVES = ['rwxuad', 'rwxad', 'xuga', 'rw', 'wuad', 'wga'];

const VA = 0x0123_4567n;

/** Flips every bit of every entry of a walk, at every level, and wants the oracle's outcome for every access. */
export function flipEveryBit(formats: readonly PagingFormat[]): void {
  for (const format of formats) {
    for (const { level, indexBit } of format.levels) {
      it(`T2 T3 T4: ${format.name}, leaf at level ${level}: the oracle's outcome, exactly`, () => {
        const memory = GuestMemory.allocate(0x10_0000);
        const page = 1n << BigInt(Math.min(indexBit, format.entrySize === 4 ? 30 : 36));
        const leaves = LEAVES.map(
          (letters) => ((page << (indexBit > 36 ? BigInt(indexBit - 36) : 0n)) >> 2n) | flags(letters),
        );
        if (level === 0 && format.entrySize === 8) {
          // Svnapot: page numbers that end in 1000 are pages of 64 KiB.
          leaves.push(
            (1n << 63n) | (0x1234_8000n >> 2n) | flags('rwxuad'),
            (1n << 63n) | (0x1234_8000n >> 2n) | flags('rw'),
          );
        }
        const kinds = new Set<string>();
        for (const [number, [hart, controls]] of HARTS.entries()) {
          const pair = pairOf(memory, format, BigInt(ROOT), controls);
          for (const [variant, leaf] of leaves.entries()) {
            // Shadow stacks where there are any; of the others two harts of three for each leaf, all for each table.
            if (variant > 0 && (variant + number) % 3 === 0 && !controls.sse) continue;
            const addresses = buildChain(memory, format, VA, level, leaf);
            for (const address of addresses) {
              const isLeaf = address === addresses.at(-1);
              const entry = isLeaf ? leaf : BigInt(memory.readU32(address));
              // The tables above are the same for every leaf.
              if (!isLeaf && variant > 0) continue;
              for (let bit = -1; bit < format.entrySize * 8; bit++) {
                const flipped = bit < 0 ? entry : entry ^ (1n << BigInt(bit));
                setEntry(memory, format, address, flipped);
                for (const access of ACCESSES) {
                  const message = (): string =>
                    `${hart}: ${flipped.toString(16)} at 0x${address.toString(16)}, ${access.kind}, user ${access.user}`;
                  kinds.add(assertSame(pair, VA, access, message));
                }
              }
              setEntry(memory, format, address, entry);
            }
          }
        }
        assert(kinds.has('mapped') && kinds.has('fault'));
      });
    }
  }
}
