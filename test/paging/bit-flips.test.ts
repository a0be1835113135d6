import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap, shared } from '../../src/core/index.ts';
import { ALL_ACCESSES, assertSame, buildChain, LEAVES, machinePair, TABLES } from './support/machine.ts';
import type { NaiveControls } from './support/naive-walk.ts';

// Processors that differ in everything that a bit's meaning depends on.
const PROCESSORS: readonly {
  readonly name: string;
  readonly controls: Partial<NaiveControls>;
  readonly backing?: typeof heap | typeof shared;
}[] = [
  { name: 'everything on, 52 bits', controls: {} },
  { name: 'everything on, memory shared with others', controls: {}, backing: shared },
  {
    name: '36 bits, no NX, no large pages beyond 2 MiB',
    controls: { maxPhyAddr: 36, nxe: false, gigabytePages: false, pse: false, pge: false },
  },
  { name: '40 bits, WP off, QEMU’s marks', controls: { maxPhyAddr: 40, wp: false, pdpteAccessed: true } },
  { name: '39 bits, SMEP and SMAP', controls: { maxPhyAddr: 39, smep: true, smap: true } },
  {
    name: '46 bits, protection keys',
    controls: { maxPhyAddr: 46, pku: true, pkru: 0x5555_5558, pks: true, pkrs: 0xaaaa_aaa4 },
  },
  { name: 'shadow stacks, SMAP', controls: { cet: true, smap: true } },
  {
    name: 'shadow stacks, protection keys',
    controls: { cet: true, pku: true, pkru: 0x5555_5558, pks: true, pkrs: 0xaaaa_aaa4 },
  },
  {
    name: 'protection keys, WP off',
    controls: { wp: false, pku: true, pkru: 0xaaaa_aaaa, pks: true, pkrs: 0xaaaa_aaaa },
  },
];

const SIZE = 0x10_0000;
const GVA = 0x1234_5678n & 0xffff_ffffn;

describe('every single-bit flip of a valid entry', () => {
  for (const { format, leafLevel, leaf } of LEAVES) {
    for (const { name, controls, backing = heap } of PROCESSORS) {
      it(`T2 T3: ${format.name}, leaf at level ${leafLevel}, ${name}: the naive walker's outcome, exactly`, () => {
        const memory = GuestMemory.fromRegions([{ start: 0, backing: backing(SIZE) }]);
        const addresses = buildChain(memory, format, GVA, leafLevel, leaf);
        const pair = machinePair(memory, format, BigInt(TABLES), controls);
        let outcomes = 0;
        const kinds = new Set<string>();
        for (const address of addresses) {
          for (let bit = 0; bit < format.entrySize * 8; bit++) {
            const before = format.entrySize === 8 ? memory.readU64(address) : BigInt(memory.readU32(address));
            const flipped = before ^ (1n << BigInt(bit));
            if (format.entrySize === 8) memory.writeU64(address, flipped);
            else memory.writeU32(address, Number(flipped));
            for (const access of ALL_ACCESSES) {
              const message = `bit ${bit} of the entry at 0x${address.toString(16)}, ${JSON.stringify(access)}`;
              kinds.add(assertSame(pair, GVA, access, message).kind);
              outcomes++;
            }
            if (format.entrySize === 8) memory.writeU64(address, before);
            else memory.writeU32(address, Number(before));
          }
        }
        assert.equal(outcomes, addresses.length * format.entrySize * 8 * ALL_ACCESSES.length);
        // The flips do tell processors' rules apart: there are faults, and (by address bits) unreadable tables.
        assert(kinds.has('page-fault'));
      });
    }
  }
});

describe('the reserved-bit rules, one by one', () => {
  const RESERVED: readonly (readonly [string, number, number, Partial<NaiveControls>, readonly number[]])[] =
    [
      // format, leaf level, level of the entry, controls, bits that must fault with RSVD
      ['x86-5level', 1, 5, {}, [7]],
      ['x86-5level', 1, 4, {}, [7]],
      ['x86-4level', 1, 4, {}, [7]],
      ['x86-4level', 1, 4, { maxPhyAddr: 40, nxe: false }, [7, 40, 51, 63]],
      ['x86-4level', 1, 3, { gigabytePages: false }, [7]],
      ['x86-4level', 3, 3, {}, [13, 20, 29]],
      ['x86-4level', 2, 2, {}, [13, 20]],
      ['x86-4level', 1, 1, { maxPhyAddr: 36, nxe: false }, [36, 51, 63]],
      ['x86-pae', 1, 3, { maxPhyAddr: 40 }, [1, 2, 5, 6, 7, 8, 40, 52, 62, 63]],
      ['x86-pae', 1, 3, { pdpteAccessed: true }, [1, 2, 6, 7, 8, 52, 62, 63]],
      ['x86-pae', 1, 2, { maxPhyAddr: 40, nxe: false }, [40, 52, 62, 63]],
      ['x86-pae', 2, 2, {}, [13, 20, 52, 62]],
      ['x86-pae', 1, 1, {}, [52, 59, 62]],
      ['x86-32', 2, 2, { maxPhyAddr: 40 }, [21]],
      ['x86-32', 2, 2, { maxPhyAddr: 36 }, [17, 20, 21]],
      ['x86-32', 2, 2, { maxPhyAddr: 32 }, [13, 20, 21]],
    ];
  for (const [name, leafLevel, entryLevel, controls, bits] of RESERVED) {
    it(`T3: ${name}, entry of level ${entryLevel} with the leaf at ${leafLevel}, ${JSON.stringify(controls)}: ${bits.join(', ')}`, () => {
      const found = LEAVES.find(({ format, leafLevel: at }) => format.name === name && at === leafLevel);
      assert(found !== undefined);
      const { format, leaf } = found;
      const memory = GuestMemory.allocate(0x10_0000);
      const addresses = buildChain(memory, format, GVA, leafLevel, leaf);
      const { translator } = machinePair(memory, format, BigInt(TABLES), controls);
      const address = addresses[format.levels.findIndex(({ level }) => level === entryLevel)];
      assert(address !== undefined);
      assert.equal(translator.translate(GVA).kind, 'mapped');
      for (const bit of bits) {
        const before = format.entrySize === 8 ? memory.readU64(address) : BigInt(memory.readU32(address));
        const flipped = before | (1n << BigInt(bit));
        if (format.entrySize === 8) memory.writeU64(address, flipped);
        else memory.writeU32(address, Number(flipped));
        const fault = translator.translate(GVA, { kind: 'write' });
        assert(fault.kind === 'page-fault', `bit ${bit}`);
        assert.equal(fault.reason, 'reserved');
        assert.equal(fault.errorCode, 1 | 2 | 8);
        assert.equal(fault.entryAddress, address);
        // RSVD comes only with P: the same entry, not present, is just that.
        if (format.entrySize === 8) memory.writeU64(address, flipped & ~1n);
        else memory.writeU32(address, Number(flipped & ~1n));
        const absent = translator.translate(GVA, { kind: 'write' });
        assert(absent.kind === 'page-fault');
        assert.deepEqual([absent.reason, absent.errorCode], ['not-present', 2]);
        if (format.entrySize === 8) memory.writeU64(address, before);
        else memory.writeU32(address, Number(before));
      }
    });
  }
});
