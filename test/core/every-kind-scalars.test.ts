import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { KINDS, type MemoryUnderTest } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern, patternWithoutNaN, SCALARS } from '../support/scalars.ts';

for (const kind of KINDS) {
  describe(`scalars of ${kind.name}`, () => {
    let tested: MemoryUnderTest;
    before(() => {
      tested = kind.make();
    });

    it('A2 M6: read every scalar at every address, aligned or not, across seams, first and last byte', () => {
      const { memory, start, length } = tested;
      const bytes = patternWithoutNaN(length);
      const view = new DataView(bytes.buffer);
      memory.writeAt(start, bytes);
      tested.disturb?.();
      for (const { name, width, read, value } of SCALARS) {
        for (let at = 0; at <= length - width; at++) {
          if (!Object.is(read(memory, start + at), value(view, at)))
            assert.equal(read(memory, start + at), value(view, at), `read${name} at offset ${at}`);
        }
      }
    });

    it('A2 M6: write every scalar at every address, and not a byte beside it', () => {
      const { memory, start, length } = tested;
      const values = new DataView(patternWithoutNaN(length, 2).buffer);
      const expected = pattern(length, 3);
      const found = new Uint8Array(length);
      memory.writeAt(start, expected);
      for (const { name, width, write, value } of SCALARS) {
        tested.disturb?.();
        for (let at = 0; at <= length - width; at++) {
          write(memory, start + at, value(values, at));
          expected.set(new Uint8Array(values.buffer, at, width), at);
          const from = Math.max(0, at - 8);
          const to = Math.min(length, at + width + 8);
          const around = found.subarray(from, to);
          memory.readAt(start + from, around);
          sameBytes(around, expected.subarray(from, to), `write${name} at offset ${at}`);
        }
      }
    });

    it('A2: values are stored modulo their width', () => {
      const { memory, start } = tested;
      memory.writeU8(start + 8, -1);
      memory.writeU16(start + 9, 0x1_2345);
      memory.writeI32(start + 12, 2 ** 32 + 5);
      memory.writeI64(start + 16, -2n);
      assert.equal(memory.readU8(start + 8), 0xff);
      assert.equal(memory.readU16(start + 9), 0x2345);
      assert.equal(memory.readU32(start + 12), 5);
      assert.equal(memory.readU64(start + 16), 2n ** 64n - 2n);
      assert.equal(memory.readI64(start + 16), -2n);
    });

    it('A2: readU64Number takes 2^53-1 and refuses more, aligned or not', () => {
      const { memory, start } = tested;
      for (const at of [start + 8, start + 9, start + 15]) {
        memory.writeU64(at, 2n ** 53n - 1n);
        assert.equal(memory.readU64Number(at), 2 ** 53 - 1);
        memory.writeU64(at, 2n ** 53n);
        const error = refused(() => memory.readU64Number(at), { code: 'too-large', gpa: at, length: 8 });
        assert.match(error.message, /current value 0x20000000000000/);
      }
    });

    it('M3 E: a scalar that is not wholly there is refused before its first byte, with the place named', () => {
      const { memory, start, length, pastEnd, holeBefore } = tested;
      const end = start + length;
      const bytes = pattern(length, 4);
      memory.writeAt(start, bytes);
      for (const { width, read, write } of SCALARS) {
        if (pastEnd !== undefined) {
          // At the top of the space, `end` is no address any more.
          for (let over = 1; over <= (pastEnd === 'invalid' ? width - 1 : width); over++) {
            const at = end - width + over;
            const facts =
              pastEnd === 'unmapped'
                ? { code: pastEnd, memory: memory.name, gpa: at, length: width, failedAt: end, done: 0 }
                : { code: pastEnd, memory: memory.name };
            refused(() => read(memory, at), { ...facts, operation: 'read' });
            refused(() => write(memory, at, 1), { ...facts, operation: 'write' });
          }
        }
        if (holeBefore) {
          for (let at = Math.max(0, start - width); at < start; at++) {
            const facts = { code: 'unmapped', gpa: at, length: width, failedAt: at, done: 0 } as const;
            refused(() => read(memory, at), facts);
            refused(() => write(memory, at, 1), facts);
          }
        }
      }
      sameBytes(memory.readBytes(start, length), bytes);
    });

    it('M4: an address that is none is invalid before anything happens', () => {
      const { memory, start } = tested;
      for (const gpa of [
        -1,
        -8,
        0.5,
        Number.NaN,
        Infinity,
        -Infinity,
        2 ** 53,
        2 ** 60,
        ...(start < 2 ** 50 ? [start + 0.5] : []),
      ]) {
        for (const { read, write } of SCALARS) {
          refused(() => read(memory, gpa), { code: 'invalid', operation: 'read', memory: memory.name });
          refused(() => write(memory, gpa, 1), { code: 'invalid', operation: 'write' });
        }
      }
    });
  });
}
