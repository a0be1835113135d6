import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, heap } from '../../src/core/index.ts';
import { KINDS } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';
import { patternWithoutNaN } from '../support/scalars.ts';

const cell = new BigUint64Array(1);

describe('readU64InPage', () => {
  for (const kind of KINDS) {
    it(`A2 M5: ${kind.name}: reads by page number and offset what readU64 reads by address`, () => {
      const { memory, start, length, disturb } = kind.make();
      memory.writeAt(start, patternWithoutNaN(length));
      disturb?.();
      for (let gpa = start; gpa <= start + length - 8; gpa++) {
        memory.readU64InPage(Math.floor(gpa / 4096), gpa % 4096, cell);
        if (cell[0] !== memory.readU64(gpa)) assert.equal(cell[0], memory.readU64(gpa), `at ${gpa}`);
      }
    });
  }

  it('M1 M4: pages below, above and between regions, far up, and numbers that are none', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0x10_0000, backing: heap(0x1000) },
      { start: 0x1_0000_0000, backing: heap(0x10_0000) },
      { start: 2 ** 44, backing: heap(0x1000) },
    ]);
    memory.writeU64(0x10_0ff8, 1n);
    memory.writeU64(0x1_000f_fff8, 2n);
    memory.writeU64(2 ** 44 + 8, 3n);
    const read = (gpn: number, offset: number): bigint | undefined => {
      memory.readU64InPage(gpn, offset, cell);
      return cell[0];
    };
    assert.equal(read(0x100, 0xff8), 1n);
    assert.equal(read(0x10_00ff, 0xff8), 2n);
    assert.equal(read(2 ** 32, 8), 3n);
    for (const gpn of [0, 0x101, 0xf_ffff, 0x10_0100, 2 ** 32 + 1, 2 ** 32 + 0x10_0000]) {
      refused(() => read(gpn, 0), { code: 'unmapped' });
    }
    for (const gpn of [-1, Number.NaN, 2 ** 41, 0x10_0000 + 2 ** -20])
      refused(() => read(gpn, 0), { code: 'invalid' });
    refused(() => read(0x10_0000, 0.5), { code: 'invalid' });
    refused(() => read(0x10_00ff, 0xffc), { code: 'unmapped' });
  });
});
