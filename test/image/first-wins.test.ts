import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { firstWins } from '../../src/image/first-wins.ts';

const claim = fc
  .tuple(fc.nat(40), fc.integer({ min: 1, max: 12 }))
  .map(([start, size]) => ({ start, end: start + size }));

describe('firstWins', () => {
  it('I2: gives each address to the first claim that has it, as painting it byte by byte does', () => {
    fc.assert(
      fc.property(fc.array(claim, { maxLength: 12 }), (claims) => {
        const painted = new Array<number>(60).fill(-1);
        let losers = 0;
        claims.forEach(({ start, end }, i) => {
          let lost = false;
          for (let at = start; at < end; at++) {
            if (painted[at] === -1) painted[at] = i;
            else lost = true;
          }
          if (lost) losers++;
        });
        const result = firstWins(claims);
        const awarded = new Array<number>(60).fill(-1);
        let last = 0;
        for (const award of result.awards) {
          assert(award.start >= last);
          last = award.end;
          awarded.fill(claims.indexOf(award.claim), award.start, award.end);
        }
        assert.deepEqual(awarded, painted);
        assert.equal(result.losers, losers);
      }),
      { numRuns: 1000 },
    );
  });

  it('I2: settles 200,000 claims that all overlap, each way, without looking at every piece of each', () => {
    const count = 200_000;
    const nested = Array.from({ length: count }, (_, i) => ({ start: count - i, end: count + 1 + i }));
    const started = performance.now();
    assert.equal(firstWins(nested).awards.length, 2 * nested.length - 1);
    assert.equal(firstWins([...nested].reverse()).awards.length, 1);
    // A fraction of a second; piece by piece it would be 40,000 million steps, half a minute and more.
    assert(performance.now() - started < 20_000);
  });
});
