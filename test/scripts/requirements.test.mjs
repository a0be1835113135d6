import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkRequirements } from '../../scripts/checks/requirements.mjs';
import { only, planted, project } from './project.mjs';

const PAGE = '| number | what holds |\n| --- | --- |\n| `M7` | Waits |\n| `A2 read_at` | Reads |\n';
/** Not as one word: this file is a test as well. */
const test = (/** @type {string} */ name) => planted('i', "t('", name, "', () => {});\n");

/**
 * @param {string} source of the one test
 * @param {string} page
 */
function problemsOf(source, page = PAGE) {
  return checkRequirements(
    project({
      'docs/requirements.md': page,
      'test/core/a.test.ts': source,
      'test/core/b.ts': test('M8: no'),
    }),
  ).problems;
}

describe('requirements', () => {
  it('finds nothing where each line has a test, alone or among others', () => {
    assert.deepEqual(problemsOf(test('M7: waits') + test('A2 read_at, write_at: move')), []);
    assert.deepEqual(problemsOf(test('A2 M7 read_at and so on without a colon')), []);
  });

  it('names a line whose number no test bears', () => {
    only(problemsOf(test('M7: waits')), /requirements\.md:4: no test bears the number A2 read_at/);
    only(problemsOf(test('M7: as A2 does in read_at')), /A2 read_at/);
    only(problemsOf(test('M7: waits') + test('A2: read_at')), /A2 read_at/);
    only(problemsOf(test('M70: waits') + test('A2 read_at: x'), `${PAGE}| \`M70\` | More |\n`), /M7$/);
    only(problemsOf(test('A2 read_at: x') + test('M7: left out').replace('it(', 'it.skip(')), /M7/);
  });

  it('names a number that no line has', () => {
    only(problemsOf(test('M7: x') + test('A2 read_at: x') + test('M71: x')), /a\.test\.ts: .*M71/);
  });

  it('wants requirements to look at', () => {
    only(problemsOf(test('M7: waits'), '# Nothing\n'), /there is no requirement/);
    only(checkRequirements(project({ 'test/a.test.ts': test('M7: x') })).problems, /there is no requirement/);
  });
});
