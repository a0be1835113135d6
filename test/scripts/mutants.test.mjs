import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { EQUIVALENTS } from '../../scripts/lib/mutants/equivalents.mjs';
import { GROUPS } from '../../scripts/lib/mutants/groups.mjs';
import { score } from '../../scripts/lib/mutants/score.mjs';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { run } from '../../scripts/lib/run.mjs';
import { project } from './project.mjs';

const PLUGIN = path.join(ROOT, 'scripts/lib/mutants/plugin.mjs');

describe('the score of mutants', () => {
  /**
   * @param {'killed' | 'survived' | 'ignored'} state
   * @param {string} was
   */
  const mutant = (state, was) => ({
    file: 'src/a.ts',
    line: 3,
    text: `x = ${was};`,
    was,
    became: '0',
    state,
    why: '',
  });
  /** @param {string} was */
  const equivalent = (was, text = `x = ${was};`, file = 'src/a.ts') => ({
    file,
    why: 'planted',
    changes: [[text, was, '0']],
  });

  it('is what was killed, of all that are neither ignored nor equivalent', () => {
    const judged = [mutant('killed', 'a'), mutant('killed', 'b'), mutant('killed', 'c')];
    judged.push(mutant('survived', 'd'), mutant('survived', 'e'), mutant('ignored', 'f'));
    const { killed, survived, equivalent: excused, percent, stale } = score(judged, [equivalent('e')]);
    assert.deepEqual(
      [killed, survived.map(({ was }) => was), excused, percent, stale],
      [3, ['d'], 1, 75, []],
    );
  });

  it('tells of an equivalent that is none, or is not there, or not there any more', () => {
    const judged = [mutant('killed', 'a'), mutant('survived', 'b')];
    const { percent, stale } = score(judged, [
      equivalent('a'),
      equivalent('b', 'y = b;'),
      equivalent('z', 'x = z;', 'src/other.ts'),
    ]);
    assert.equal(percent, 50);
    assert.deepEqual(stale, [
      'src/a.ts: a -> 0: a test sees it',
      'src/a.ts: b -> 0: there is no such mutant',
    ]);
  });

  it('is of modules and tests that exist, and each equivalent belongs to one and says why', () => {
    const modules = GROUPS.flatMap(({ room, modules: of }) => of.map((module) => `src/${room}/${module}.ts`));
    for (const file of modules) assert(existsSync(path.join(ROOT, file)), file);
    for (const test of GROUPS.flatMap(({ room, tests }) =>
      tests.map((name) => `test/${room}/${name}.test.ts`),
    ))
      assert(existsSync(path.join(ROOT, test)), test);
    for (const { file, why, changes } of EQUIVALENTS)
      assert(modules.includes(file) && why !== '' && changes.every((change) => change.length > 2), file);
  });
});

describe('the runner of mutants', () => {
  const HEAD =
    "import assert from 'node:assert/strict';\nimport { before, describe, it } from 'node:test';\n";

  it('runs each test alone with what its suites prepare, kills by the first that fails, and wants a fresh process for the next after a mutant that left traces', async () => {
    const root = project({
      'package.json': '{ "type": "module" }',
      // As Stryker writes it: one module that holds every mutant, and asks which is active.
      'sum.js': `
        const ns = globalThis.__stryker__;
        const active = (id) => {
          if (ns.activeMutant === id) ns.hitCount++;
          if (ns.hitCount > ns.hitLimit) throw new Error('hit limit');
          return ns.activeMutant === id;
        };
        let kept = 0;
        export function sum(a, b) {
          if (active('keeps')) kept = 1;
          while (active('hangs'));
          return active('minus') ? a - b : active('nothing') ? b + a : a + b + kept;
        }`,
      'sum.test.js': `${HEAD}
        import { sum } from './sum.js';
        describe('sums', () => {
          let one;
          before(() => { one = 1; });
          it('of zero', () => assert.equal(sum(0, 0), 0));
          it('of one', () => { one++; assert.equal(sum(one, 1), 3); });
        });`,
      'drive.mjs': `
        import { Runner } from ${JSON.stringify(PLUGIN)};
        const runner = new Runner({ testFiles: ['sum.test.js'] });
        const { tests } = await runner.dryRun();
        const said = [tests.map(({ id, status }) => [id, status]).sort()];
        for (const id of ['nothing', 'minus', 'minus', 'hangs']) {
          const { status, killedBy } = await runner.mutantRun({ activeMutant: { id } });
          said.push([status, ...(killedBy ?? [])]);
        }
        for (const id of ['keeps', 'nothing']) said.push(await runner.mutantRun({ activeMutant: { id } }).catch(() => 'again'));
        const fresh = new Runner({ testFiles: [] });
        fresh.tests = runner.tests;
        said.push((await fresh.mutantRun({ activeMutant: { id: 'keeps' } })).status);
        said.push(await fresh.mutantRun({ activeMutant: { id: 'nothing' } }).catch(() => 'again'));
        console.log(JSON.stringify(said));`,
    });
    const { status, output } = await run(process.execPath, ['drive.mjs'], { cwd: root, timeoutMs: 60_000 });
    assert.equal(status, 0, output);
    assert.deepEqual(JSON.parse(output), [
      [
        ['sum.test.js: sums > of one', 0],
        ['sum.test.js: sums > of zero', 0],
      ],
      ['survived'],
      ['killed', 'sum.test.js: sums > of one'],
      ['killed', 'sum.test.js: sums > of one'],
      ['timeout'],
      'again',
      'again',
      'killed',
      'again',
    ]);
  });
});
