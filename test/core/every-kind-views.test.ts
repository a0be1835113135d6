import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { compare, indexOf, isZero, readPresent } from '../../src/core/index.ts';
import { KINDS, type MemoryUnderTest } from '../support/memory-kinds.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

for (const kind of KINDS) {
  describe(`views and searches of ${kind.name}`, () => {
    let tested: MemoryUnderTest;
    before(() => {
      tested = kind.make();
    });

    it('A1 translateAndGetLimit: host bytes from the address on, and no more than follow contiguously', () => {
      const { memory, start, length, mapped, seams, pastEnd } = tested;
      const bytes = pattern(length);
      memory.writeAt(start, bytes);
      tested.disturb?.();
      for (let offset = 0; offset < length; offset++) {
        const gpa = start + offset;
        for (const access of ['read', 'write'] as const) {
          const run = memory.translateAndGetLimit(gpa, access);
          if (!mapped(gpa)) {
            assert.equal(run, undefined);
            continue;
          }
          assert(run !== undefined);
          const seam = seams.filter((at) => at > gpa).sort((a, b) => a - b)[0];
          const end = seam ?? (pastEnd === undefined ? undefined : start + length);
          if (end !== undefined) assert.equal(run.limit, end - gpa, `limit at offset ${offset}`);
          assert.equal(new Uint8Array(run.buffer, run.byteOffset, run.limit)[0], bytes[offset]);
        }
      }
      if (pastEnd === 'unmapped') assert.equal(memory.translateAndGetLimit(start + length), undefined);
    });

    it('M8: iovecs are the guest bytes themselves, in order, cut at seams; a view is one run', () => {
      const { memory, start, length, mapped, seams, lends = mapped } = tested;
      for (let from = 0; from < length; from += 5) {
        const count = Math.min(37, length - from);
        const gpa = start + from;
        const runs = seams.filter((seam) => seam > gpa && seam < gpa + count).length + 1;
        const everyLent = Array.from({ length: count }, (_, i) => i).every((i) => lends(gpa + i));
        if (!everyLent) {
          refused(() => memory.view(gpa, count, 'read'), { code: 'unsupported', operation: 'view', gpa });
          refused(() => memory.views(gpa, count, 'write'), { code: 'unsupported', operation: 'view', gpa });
          continue;
        }
        const views = memory.views(gpa, count, 'write');
        assert.equal(views.iovecs.length, runs);
        assert.deepEqual([views.gpa, views.length, views.access], [gpa, count, 'write']);
        const bytes = pattern(count, from + 1);
        let at = 0;
        for (const iovec of views.iovecs) {
          iovec.set(bytes.subarray(at, at + iovec.length));
          at += iovec.length;
        }
        assert.equal(at, count);
        sameBytes(memory.readBytes(gpa, count), bytes);
        memory.writeU8(gpa + count - 1, 0x5a);
        assert.equal(views.iovecs.at(-1)?.at(-1), 0x5a);
        if (runs === 1) {
          const view = memory.view(gpa, count, 'read');
          assert.equal(view.bytes.length, count);
          assert.equal(view.bytes[count - 1], 0x5a);
          view.release();
        } else {
          const error = refused(() => memory.view(gpa, count, 'read'), {
            code: 'unsupported',
            gpa,
            length: count,
          });
          assert.match(error.message, new RegExp(`${runs} runs`));
        }
        views.release();
      }
    });

    it('M8: a view is closed after its release, which is safe to repeat', () => {
      const { memory, start, mapped, seams, lends = mapped } = tested;
      if (!lends(start) || seams.some((seam) => seam < start + 1)) return;
      const view = memory.view(start, 1, 'read');
      view.release();
      view.release();
      view[Symbol.dispose]();
      refused(() => view.bytes, { code: 'closed', gpa: start, length: 1 });
      refused(() => view.iovecs, { code: 'closed' });
    });

    it('M8: copyFrom within one memory, overlapping in both directions, over seams', () => {
      const { memory, start, length } = tested;
      const expected = pattern(length, 3);
      memory.writeAt(start, expected);
      for (const [from, to, count] of [
        [0, 1, length - 1],
        [1, 0, length - 1],
        [0, 3, 20],
        [5, 2, 20],
        [0, 7, length - 7],
        [7, 0, length - 7],
        [2, 2, length - 2],
        [0, length - 9, 9],
      ] as const) {
        if (count < 0 || from + count > length || to + count > length || to < 0) continue;
        tested.disturb?.();
        memory.copyFrom(memory, start + from, start + to, count);
        expected.copyWithin(to, from, from + count);
        sameBytes(memory.readBytes(start, length), expected, `copy of ${count} from ${from} to ${to}`);
      }
    });

    it('M8 M3: copyFrom another memory, both ways; nothing moves where it would fail', () => {
      const { memory, start, length, pastEnd } = tested;
      const other = KINDS.find(({ name }) => name === 'small pieces')?.make();
      assert(other !== undefined);
      const count = Math.min(length, other.length) - 1;
      const bytes = pattern(other.length, 8);
      other.memory.writeAt(other.start, bytes);
      memory.copyFrom(other.memory, other.start + 1, start, count);
      sameBytes(memory.readBytes(start, count), bytes.subarray(1, 1 + count));
      memory.fillAt(start, 0x77, length);
      other.memory.copyFrom(memory, start, other.start + 1, count);
      sameBytes(
        other.memory.readBytes(other.start, 1 + count),
        bytes.map((byte, i) => (i === 0 ? byte : 0x77)).subarray(0, 1 + count),
      );
      if (pastEnd !== 'unmapped') return;
      const facts = { code: 'unmapped', operation: 'copy', done: 0 } as const;
      const far = start + length - 4;
      refused(() => memory.copyFrom(other.memory, other.start, far, 5), {
        ...facts,
        gpa: far,
        failedAt: far + 4,
      });
      refused(() => other.memory.copyFrom(memory, far, other.start, 5), {
        ...facts,
        gpa: far,
        failedAt: far + 4,
      });
      sameBytes(memory.readBytes(start, length), new Uint8Array(length).fill(0x77));
    });

    it('M8: compare has the sign of the first difference', () => {
      const { memory, start, length, pastEnd } = tested;
      const plain = KINDS.find(({ name }) => name === 'small pieces')?.make();
      assert(plain !== undefined);
      const count = Math.min(length, plain.length);
      const bytes = pattern(count, 4).map((byte) => (byte % 250) + 2);
      memory.writeAt(start, bytes);
      plain.memory.writeAt(plain.start, bytes);
      assert.equal(compare(memory, start, plain.memory, plain.start, count), 0);
      for (let at = 0; at < count; at += 3) {
        plain.memory.writeU8(plain.start + at, (bytes[at] ?? 0) - 1);
        if (at + 1 < count) plain.memory.writeU8(plain.start + at + 1, (bytes[at + 1] ?? 0) + 1);
        assert.equal(compare(memory, start, plain.memory, plain.start, count), 1);
        assert.equal(compare(plain.memory, plain.start, memory, start, count), -1);
        assert.equal(compare(memory, start, plain.memory, plain.start, at), 0);
        plain.memory.writeAt(plain.start, bytes);
      }
      if (pastEnd !== 'unmapped') return;
      const facts = { code: 'unmapped', failedAt: start + length } as const;
      refused(() => compare(memory, start + length - 1, memory, start, 2), facts);
      refused(() => compare(memory, start, memory, start + length - 1, 2), facts);
    });

    it('M8: indexOf finds the first place, whole, wherever it lies', () => {
      const { memory, start, length, pastEnd } = tested;
      memory.fillAt(start, 0x11, length);
      const needle = Uint8Array.of(0x11, 0x11, 0x22, 0x33, 0x44);
      for (let at = 0; at + needle.length <= length; at++) {
        memory.writeAt(start + at, needle);
        if (at + 2 * needle.length <= length) memory.writeAt(start + at + needle.length, needle);
        assert.equal(indexOf(memory, start, length, needle), start + at);
        assert.equal(indexOf(memory, start, at + needle.length - 1, needle), -1);
        memory.fillAt(start, 0x11, length);
      }
      assert.equal(indexOf(memory, start, length, needle), -1);
      assert.equal(indexOf(memory, start, 2, needle), -1);
      assert.equal(indexOf(memory, start + 1, length - 1, Uint8Array.of(0x11)), start + 1);
      refused(() => indexOf(memory, start, 4, new Uint8Array(0)), { code: 'invalid', memory: memory.name });
      if (pastEnd === 'unmapped')
        refused(() => indexOf(memory, start, length + 1, needle), {
          code: 'unmapped',
          failedAt: start + length,
        });
    });

    it('M8: isZero sees a single bit anywhere', () => {
      const { memory, start, length, pastEnd } = tested;
      memory.fillAt(start, 0, length);
      assert.equal(isZero(memory, start, length), true);
      for (let at = 0; at < length; at++) {
        memory.writeU8(start + at, 0x80);
        assert.equal(isZero(memory, start, length), false);
        assert.equal(isZero(memory, start, at), true);
        if (at + 1 < length) assert.equal(isZero(memory, start + at + 1, length - at - 1), true);
        memory.writeU8(start + at, 0);
      }
      if (pastEnd === 'unmapped')
        refused(() => isZero(memory, start, length + 1), { code: 'unmapped', failedAt: start + length });
    });

    it('M3: readPresent reads what is there and lists what is not; no byte is made up', () => {
      const { memory, start, length, holeBefore, pastEnd } = tested;
      const bytes = pattern(length, 5);
      memory.writeAt(start, bytes);
      const lead = holeBefore && start > 0 ? 3 : 0;
      const tail = pastEnd === 'unmapped' ? 5 : 0;
      const dest = new Uint8Array(lead + length + tail).fill(0xee);
      const holes = readPresent(memory, start - lead, dest);
      sameBytes(dest.subarray(lead, lead + length), bytes);
      sameBytes(dest.subarray(0, lead), new Uint8Array(lead).fill(0xee));
      sameBytes(dest.subarray(lead + length), new Uint8Array(tail).fill(0xee));
      assert.deepEqual(holes, [
        ...(lead > 0 ? [{ start: start - lead, end: start }] : []),
        ...(tail > 0 ? [{ start: start + length, end: start + length + tail }] : []),
      ]);
    });
  });
}
