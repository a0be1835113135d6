import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LineSplitter } from '../../src/qemu/line-splitter.ts';

describe('LineSplitter', () => {
  it('gives the same lines whatever pieces they come in', () => {
    const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ' '));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), fc.array(fc.nat(7), { maxLength: 40 }), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text, i) => `${text}${i % 2 === 0 ? '\n' : '\r\n'}`).join(''));
        const splitter = new LineSplitter(1 << 16);
        const got: string[] = [];
        let at = 0;
        for (const cut of cuts) {
          got.push(...splitter.push(bytes.subarray(at, at + cut)));
          at += cut;
        }
        got.push(...splitter.push(bytes.subarray(at)));
        assert.deepEqual(got, lines);
      }),
      { numRuns: 500 },
    );
  });

  it('allows a line of exactly the limit and refuses one byte more, finished or not', () => {
    assert.deepEqual(new LineSplitter(4).push(Buffer.from('abcd\nef')), ['abcd']);
    assert.throws(() => new LineSplitter(4).push(Buffer.from('abcde\n')), RangeError);
    const splitter = new LineSplitter(4);
    assert.deepEqual(splitter.push(Buffer.from('abc')), []);
    assert.throws(() => splitter.push(Buffer.from('de')), RangeError);
  });
});
