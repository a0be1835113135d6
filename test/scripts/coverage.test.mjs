import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mergeLcov } from '../../scripts/lib/lcov.mjs';

describe('coverage', () => {
  it('adds up the records of a file that was loaded several times', () => {
    const report =
      'SF:a.js\nDA:1,1\nDA:2,0\nDA:3,0\nend_of_record\nSF:b.js\nDA:1,5\nend_of_record\nSF:a.js\nDA:1,0\nDA:2,3\nDA:3,0\n';
    assert.deepEqual(mergeLcov(report), [
      { file: 'a.js', lines: 3, hit: 2, missed: [3] },
      { file: 'b.js', lines: 1, hit: 1, missed: [] },
    ]);
  });

  it('says of an empty report that nothing can be run', () => {
    assert.deepEqual(mergeLcov(''), []);
  });
});
