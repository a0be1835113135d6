import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  callbacks,
  fillRange,
  GuestMemory,
  heap,
  PAGE_SIZE,
  PagedRange,
  rangeViews,
  readRange,
  trackDirty,
  writeRange,
  zeroRange,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';
import { pattern } from '../support/scalars.ts';

const LAST_PAGE = 2 ** 41 - 1;

describe('PagedRange', () => {
  it('A2 PagedRange: only numbers that lie in the pages make one', () => {
    const operation = 'make a paged range';
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      refused(() => new PagedRange(bad, 0, [1]), { code: 'invalid', operation });
      refused(() => new PagedRange(0, bad, [1]), { code: 'invalid', operation });
    }
    refused(() => new PagedRange(0, PAGE_SIZE + 1, [1]), { code: 'invalid' });
    refused(() => new PagedRange(1, PAGE_SIZE, [1]), { code: 'invalid' });
    refused(() => new PagedRange(PAGE_SIZE + 1, 0, [1]), { code: 'invalid' });
    refused(() => new PagedRange(0, 1, []), { code: 'invalid' });
    assert.equal(new PagedRange(PAGE_SIZE, 0, [1]).length, 0);
    assert.equal(new PagedRange(0, 0, []).length, 0);
    assert.equal(PagedRange.empty().length, 0);
  });

  it('R OpenVMM D8: a page number that is none is refused when the range is made, so that no iteration meets it', () => {
    for (const bad of [-1, 1.5, Number.NaN, LAST_PAGE + 1, 2 ** 53, Number.POSITIVE_INFINITY]) {
      const error = refused(() => new PagedRange(0, 1, [0, bad]), { code: 'invalid' });
      assert.match(error.message, /page number/);
    }
    const holed = new Array<number>(2);
    holed[0] = 1;
    assert.throws(() => new PagedRange(0, 1, holed), { code: 'invalid' });
  });

  it('R OpenVMM D8: the last possible page does not wrap', () => {
    const range = new PagedRange(0xff0, 0x1010, [LAST_PAGE - 1, LAST_PAGE]);
    assert.deepEqual([...range.runs()], [{ gpa: 2 ** 53 - 0x1010, length: 0x1010 }]);
    const wrapped = new PagedRange(0, 0x2000, [LAST_PAGE, 0]);
    assert.deepEqual(
      [...wrapped.runs()],
      [
        { gpa: 2 ** 53 - 0x1000, length: 0x1000 },
        { gpa: 0, length: 0x1000 },
      ],
    );
  });

  it('A2 PagedRange: never changes, whatever becomes of the list it was made from', () => {
    const gpns = [5, 6];
    const range = new PagedRange(0, 0x2000, gpns);
    gpns[1] = 9;
    gpns.length = 1;
    assert.deepEqual(range.gpns, [5, 6]);
    assert.deepEqual([...range.skip(0x1800).runs()], [{ gpa: 0x6800, length: 0x800 }]);
  });

  it('A2 PagedRange: an empty one lists no page, wherever it begins', () => {
    for (const range of [new PagedRange(0x10, 0x10, [3]).truncate(0), new PagedRange(0x1000, 0, [3])]) {
      assert.deepEqual(range.gpns, []);
      assert.deepEqual([...range.runs()], []);
    }
  });

  it('A2 PagedRange: parts that are not inside are refused, and so are positions', () => {
    const range = new PagedRange(0x10, 0x100, [3]);
    for (const bad of [-1, 0.5, Number.NaN, 0x101]) {
      refused(() => range.skip(bad), { code: 'invalid' });
      refused(() => range.truncate(bad), { code: 'invalid' });
      refused(() => range.split(bad), { code: 'invalid' });
      refused(() => range.subrange(bad, 0), { code: 'invalid' });
      refused(() => range.gpaAt(bad), { code: 'invalid' });
      refused(() => range.runAt(bad), { code: 'invalid' });
    }
    refused(() => range.subrange(0x80, 0x81), { code: 'invalid' });
    refused(() => range.gpaAt(0x100), { code: 'invalid' });
    refused(() => range.runAt(0x100), { code: 'invalid' });
  });

  it('A2 PagedRange: is the array of its addresses, through every cut', () => {
    const pages = fc.array(
      fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constantFrom(LAST_PAGE, LAST_PAGE - 1)),
      {
        maxLength: 6,
      },
    );
    const cuts = fc.array(
      fc.tuple(fc.constantFrom('subrange', 'skip', 'truncate', 'before', 'after'), fc.nat(), fc.nat()),
      {
        maxLength: 4,
      },
    );
    fc.assert(
      fc.property(pages, fc.nat(), fc.nat(), cuts, (gpns, a, b, steps) => {
        const offset = a % (gpns.length * PAGE_SIZE + 1);
        const length = b % (gpns.length * PAGE_SIZE - offset + 1);
        let range = new PagedRange(offset, length, gpns);
        let model = addresses(gpns).slice(offset, offset + length);
        check(range, model);
        for (const [step, x, y] of steps) {
          const from = x % (model.length + 1);
          const count = y % (model.length - from + 1);
          if (step === 'subrange')
            [range, model] = [range.subrange(from, count), model.slice(from, from + count)];
          else if (step === 'skip') [range, model] = [range.skip(from), model.slice(from)];
          else if (step === 'truncate') [range, model] = [range.truncate(from), model.slice(0, from)];
          else if (step === 'before') [range, model] = [range.split(from)[0], model.slice(0, from)];
          else [range, model] = [range.split(from)[1], model.slice(from)];
          check(range, model);
        }
      }),
      { numRuns: 60 },
    );
  });
});

function addresses(gpns: readonly number[]): number[] {
  return gpns.flatMap((gpn) => Array.from({ length: PAGE_SIZE }, (_, i) => gpn * PAGE_SIZE + i));
}

function check(range: PagedRange, model: readonly number[]): void {
  assert.equal(range.length, model.length);
  const runs = [...range.runs()];
  const expanded = runs.flatMap(({ gpa, length }) => Array.from({ length }, (_, i) => gpa + i));
  assert(expanded.length === model.length && expanded.every((gpa, i) => gpa === model[i]), 'addresses');
  for (let i = 1; i < runs.length; i++) {
    const [before, after] = [runs[i - 1], runs[i]];
    assert(before !== undefined && after !== undefined && before.length > 0);
    assert.notEqual(before.gpa + before.length, after.gpa, 'runs that touch are one');
  }
  const first = model[0];
  if (first === undefined) return;
  assert.equal(range.offset, first % PAGE_SIZE);
  assert.equal(range.gpaAt(model.length - 1), model.at(-1));
  const bytesInPages = new PagedRange(range.offset, range.length, range.gpns);
  assert.deepEqual([...bytesInPages.runs()], runs, 'offset, length and gpns make the same range');
  assert.equal(range.gpns.length, Math.ceil((range.offset + range.length) / PAGE_SIZE));
}

describe('ranges of a memory', () => {
  /** Pages 0 to 3 mapped with a seam at page 2, page 4 of calls, page 5 read-only, nothing at page 6. */
  function makeMemory(): { memory: GuestMemory; calls: Uint8Array } {
    const calls = new Uint8Array(PAGE_SIZE);
    const memory = GuestMemory.fromRegions(
      [
        { start: 0, backing: heap(0x2000) },
        { start: 0x2000, backing: heap(0x2000) },
        {
          start: 0x4000,
          backing: callbacks({
            size: PAGE_SIZE,
            read: (offset, dest) => dest.set(calls.subarray(offset, offset + dest.length)),
            write: (offset, src) => calls.set(src, offset),
          }),
        },
        { start: 0x5000, backing: heap(0x1000), access: 'r' },
      ],
      { name: 'paged' },
    );
    return { memory, calls };
  }

  it('A2 write_range, read_range, fill_range, zero_range: move exactly the bytes of the range', () => {
    const { memory } = makeMemory();
    const model = new Uint8Array(0x5000);
    const range = new PagedRange(0xf01, 0x2345, [4, 1, 2, 0]);
    const at = addresses([4, 1, 2, 0]).slice(0xf01, 0xf01 + 0x2345);
    const src = pattern(0x2345);
    writeRange(memory, range, src);
    at.forEach((gpa, i) => {
      model[gpa] = src[i] ?? 0;
    });
    sameBytes(memory.readBytes(0, 0x5000), model);
    const dest = new Uint8Array(0x2345);
    readRange(memory, range, dest);
    sameBytes(dest, src);

    fillRange(memory, range.subrange(0x80, 0x1200), 0xa5);
    for (const gpa of at.slice(0x80, 0x1280)) model[gpa] = 0xa5;
    sameBytes(memory.readBytes(0, 0x5000), model);
    zeroRange(memory, range.skip(0x1000));
    for (const gpa of at.slice(0x1000)) model[gpa] = 0;
    sameBytes(memory.readBytes(0, 0x5000), model);
  });

  it('A2 read_range: pages may repeat, and the buffer may lie in shared memory', () => {
    const { memory } = makeMemory();
    memory.fillAt(0x1000, 7, PAGE_SIZE);
    const dest = new Uint8Array(new SharedArrayBuffer(0x3000));
    readRange(memory, new PagedRange(0, 0x3000, [1, 1, 1]), dest);
    assert(dest.every((byte) => byte === 7));
    writeRange(memory, new PagedRange(0, 0x3000, [1, 0, 1]), dest.fill(9, 0x2000));
    assert.deepEqual([memory.readU8(0x1000), memory.readU8(0)], [9, 7]);
  });

  it('R OpenVMM 2.16: a buffer of another length is an error, and nothing moves', () => {
    const { memory } = makeMemory();
    const range = new PagedRange(0, 8, [0]);
    for (const length of [0, 7, 9]) {
      const buffer = new Uint8Array(length).fill(1);
      const facts = { code: 'invalid', memory: 'paged', length: 8, done: 0 } as const;
      refused(() => writeRange(memory, range, buffer), { ...facts, operation: 'write a range of' });
      refused(() => readRange(memory, range, buffer), { ...facts, operation: 'read a range of' });
    }
    assert.equal(memory.readU64(0), 0n);
    for (const value of [-1, 256, 0.5, Number.NaN]) {
      refused(() => fillRange(memory, PagedRange.empty(), value), { code: 'invalid', length: 0 });
      refused(() => fillRange(memory, range, value), { code: 'invalid', operation: 'fill a range of' });
    }
  });

  it('M3: the whole range is settled before the first byte', () => {
    const { memory } = makeMemory();
    for (const [gpns, code, failedAt] of [
      [[0, 4, 6], 'unmapped', 0x6000],
      [[0, 6, 4], 'unmapped', 0x6000],
      [[0, 4, 5], 'denied', 0x5000],
    ] as const) {
      const range = new PagedRange(0x10, 0x2800, gpns);
      const facts = { code, memory: 'paged', gpa: 0x10, length: 0x2800, failedAt, done: 0 } as const;
      const src = new Uint8Array(0x2800).fill(1);
      refused(() => writeRange(memory, range, src), { ...facts, operation: 'write a range of' });
      refused(() => fillRange(memory, range, 1), { ...facts, operation: 'fill a range of' });
      assert.equal(memory.readU8(0x10), 0);
      if (code !== 'unmapped') continue;
      refused(() => readRange(memory, range, src), { ...facts, operation: 'read a range of' });
      assert(src.every((byte) => byte === 1));
    }
    readRange(memory, new PagedRange(0, 0x1000, [5]), new Uint8Array(0x1000));
  });

  it('M3: where calls stop half-way, the error says how many bytes of the range have moved', () => {
    const stuck = callbacks({
      size: PAGE_SIZE,
      read: () => undefined,
      write() {
        throw new Error('wedged');
      },
    });
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x2000) },
      { start: 0x8000, backing: stuck },
    ]);
    const range = new PagedRange(0x800, 0x1900, [0, 1, 8]);
    const error = refused(() => fillRange(memory, range, 1), {
      code: 'fault',
      failedAt: 0x8000,
      done: 0x1800,
    });
    assert(error.cause instanceof Error && error.cause.cause instanceof Error);
    assert.equal(error.cause.cause.message, 'wedged');
    const touching = memory.insertRegion({ start: 0x7000, backing: heap(0x1000) });
    const inOneRun = new PagedRange(0x800, 0x2000, [0, 7, 8]);
    refused(() => fillRange(touching, inOneRun, 1), { code: 'fault', failedAt: 0x8000, done: 0x1800 });
  });

  it('M4: an empty range succeeds, whatever its pages', () => {
    const { memory } = makeMemory();
    const empty = new PagedRange(0x20, 0, [6]);
    readRange(memory, empty, new Uint8Array(0));
    writeRange(memory, empty, new Uint8Array(0));
    zeroRange(memory, empty);
    const views = rangeViews(memory, empty, 'write');
    assert.deepEqual(views.iovecs, []);
    views.release();
  });

  it('A2 lock_range: one view for each contiguous run, usable as an iovec', () => {
    const { memory } = makeMemory();
    const views = rangeViews(memory, new PagedRange(0x800, 0x2000, [0, 1, 3]), 'write');
    assert.deepEqual([views.length, views.access], [0x2000, 'write']);
    assert.deepEqual(
      views.iovecs.map((bytes) => bytes.length),
      [0x1800, 0x800],
    );
    views.iovecs[1]?.fill(0x5a);
    assert.equal(memory.readU8(0x3000), 0x5a);
    views.release();
    views.release();
    views[Symbol.dispose]();
    refused(() => views.iovecs, { code: 'closed', length: 0x2000 });
  });

  it('R OpenVMM D6: contiguous pages on both sides of a region border are two views, not a crash', () => {
    const { memory } = makeMemory();
    const views = rangeViews(memory, new PagedRange(0, 0x4000, [0, 1, 2, 3]), 'read');
    assert.deepEqual(
      views.iovecs.map((bytes) => bytes.length),
      [0x2000, 0x2000],
    );
    views.release();
  });

  it('R OpenVMM D1: a page that is only readable is lent for reading', () => {
    const { memory } = makeMemory();
    const range = new PagedRange(0, 0x2000, [5, 0]);
    rangeViews(memory, range, 'read').release();
    refused(() => rangeViews(memory, range, 'write'), { code: 'denied', failedAt: 0x5000 });
  });

  it('A2 lock_range: where one run is refused, nothing is lent', () => {
    const tracking = trackDirty(makeMemory().memory);
    const { memory } = tracking;
    refused(() => rangeViews(memory, new PagedRange(0, 0x2000, [0, 4]), 'write'), { code: 'unsupported' });
    refused(() => rangeViews(memory, new PagedRange(0, 0x2000, [0, 6]), 'write'), {
      code: 'unmapped',
      failedAt: 0x6000,
    });
    tracking.drain();
    assert.deepEqual(tracking.drain(), [], 'no page is held dirty by a view');
  });
});
