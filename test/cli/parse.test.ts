import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isCliError } from '../../src/cli/cli-error.ts';
import {
  parseCount,
  parseGpa,
  parseGvaRange,
  parseLength,
  parseRegister,
  parseU64,
} from '../../src/cli/parse.ts';

const usage = (message: RegExp) => (error: unknown) =>
  isCliError(error) && error.code === 'usage' && message.test(error.message);

describe('parse', () => {
  it('C: reads addresses in decimal and in hex', () => {
    assert.equal(parseGpa('0'), 0);
    assert.equal(parseGpa('4096'), 4096);
    assert.equal(parseGpa('0x1000'), 0x1000);
    assert.equal(parseGpa('0X1fffffffffffff'), Number.MAX_SAFE_INTEGER);
    assert.equal(parseU64('0xFFFF888000000000'), 0xffff888000000000n);
    assert.equal(parseU64('18446744073709551615'), 0xffffffffffffffffn);
  });

  it('C: refuses junk, negatives and values that do not fit, saying which', () => {
    for (const junk of [
      '',
      ' ',
      '0x',
      '0xg',
      '1.5',
      '1e3',
      '12zz',
      '0b1',
      '+1',
      '1_000',
      '١',
      'NaN',
      '0x10 ',
    ]) {
      assert.throws(() => parseGpa(junk), usage(/want decimal or 0x hex/), junk);
      assert.throws(() => parseU64(junk), usage(/want decimal or 0x hex/), junk);
    }
    assert.throws(() => parseGpa('-5'), usage(/"-5".*negative/));
    assert.throws(() => parseGpa('-0x10'), usage(/negative/));
    assert.throws(() => parseGpa('ffff8880'), usage(/hex is written 0xffff8880/));
    assert.throws(() => parseGpa('0x20000000000000'), usage(/above 2\^53-1/));
    assert.throws(() => parseU64('0x10000000000000000'), usage(/above 2\^64-1/));
    assert.throws(
      () => parseGpa('9'.repeat(100_000)),
      (error: unknown) => {
        return usage(/above 2\^53-1/)(error) && error instanceof Error && error.message.length < 200;
      },
    );
  });

  it('C: reads lengths with units', () => {
    assert.equal(parseLength('0'), 0n);
    assert.equal(parseLength('64'), 64n);
    assert.equal(parseLength('0x40'), 64n);
    assert.equal(parseLength('4K'), 4096n);
    assert.equal(parseLength('2m'), 2n << 20n);
    assert.equal(parseLength('3G'), 3n << 30n);
    assert.equal(parseLength('1T'), 1n << 40n);
    assert.equal(parseLength('1GiB'), 1n << 30n);
    for (const junk of ['', 'K', 'iB', '1KB', '1.5K', '1KK', '0xK', '1P']) {
      assert.throws(() => parseLength(junk), usage(/as a length/), junk);
    }
    assert.throws(() => parseLength('-1K'), usage(/negative/));
    assert.throws(() => parseLength('99999999999999T'), usage(/above 2\^64-1/));
  });

  it('C: reads counts, registers and ranges', () => {
    assert.equal(parseCount('3', 'a CPU number'), 3);
    assert.throws(() => parseCount('70000', 'a CPU number'), usage(/as a CPU number/));
    assert.deepEqual(parseRegister('CR4=0x20'), ['cr4', 0x20n]);
    for (const junk of ['cr4', '=5', 'cr4=', '4cr=1', 'cr4=zz']) {
      assert.throws(() => parseRegister(junk), usage(/register|value of/), junk);
    }
    assert.deepEqual(parseGvaRange('0x1000-0x3000'), { start: 0x1000n, end: 0x3000n });
    assert.deepEqual(parseGvaRange('0xffffffff80000000+1M'), {
      start: 0xffffffff80000000n,
      end: 0xffffffff80100000n,
    });
    assert.deepEqual(parseGvaRange('0x1000-'), { start: 0x1000n, end: 1n << 64n });
    assert.throws(() => parseGvaRange('0xffffffffffffffff+2'), usage(/ends past 2\^64/));
    for (const junk of ['', '5', '5+', '-', '0x2000-0x1000', '1-1', '1+0', '-1', '1--2', 'a-b']) {
      assert.throws(() => parseGvaRange(junk), usage(/Cannot use/), junk);
    }
  });

  it('C: what is printed as 0x hex is read back as the same number', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (value) => {
        assert.equal(parseU64(`0x${value.toString(16)}`), value);
        assert.equal(parseU64(value.toString()), value);
      }),
      { numRuns: 200 },
    );
  });

  it('C: any text is read or refused with a usage error, nothing else', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const parse of [parseGpa, parseU64, parseLength, parseGvaRange, parseRegister]) {
          try {
            parse(text);
          } catch (error) {
            assert.ok(isCliError(error) && error.code === 'usage', String(error));
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
