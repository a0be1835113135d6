import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { run } from '../../scripts/lib/run.mjs';
import { project } from './project.mjs';

/** Steps of .ci/run that run npm. */
const STEPS = readFileSync(path.join(ROOT, '.ci/run'), 'utf8').match(/^step .* npm /gm)?.length ?? 0;

/**
 * Runs .ci/run where npm and apt-get are stand-ins.
 *
 * @param {string} npm shell commands; $* are npm's arguments
 */
async function runWith(npm) {
  const root = project({
    'bin/apt-get': '#!/bin/sh\n',
    'bin/npm': `#!/bin/sh\ncount() { echo "$1 $2" >>"$GUESTMEM_COUNTS"; }\n${npm}\n`,
  });
  for (const program of ['bin/apt-get', 'bin/npm']) chmodSync(path.join(root, program), 0o755);
  mkdirSync(path.join(root, '.ci'));
  copyFileSync(path.join(ROOT, '.ci/run'), path.join(root, '.ci/run'));
  const env = { ...process.env, PATH: `${path.join(root, 'bin')}:${process.env['PATH']}` };
  const { status, output } = await run('bash', [path.join(root, '.ci/run')], { env, timeoutMs: 60_000 });
  return { status, last: output.trimEnd().split('\n').at(-1), output };
}

describe('.ci/run', () => {
  it('sums what the steps count, and counts a step that does not as one', async () => {
    const { status, last } = await runWith(
      'case "$*" in *test:runtimes*) count 20 0;; *test*) count 10 0; count 5 0;; esac',
    );
    // 15 tests, 20 on runtimes; packages and the other steps are one each.
    assert.deepEqual([status, last], [0, `${15 + 20 + 1 + STEPS - 2} passed, 0 failed`]);
  });

  it('goes on after a failure, and ends with it', async () => {
    const { status, last, output } = await runWith('case "$*" in *check*) count 9 2; exit 1;; esac');
    assert.deepEqual([status, last], [1, `${9 + STEPS} passed, 2 failed`]);
    assert.match(output, /check +NOT OK/);
    assert.match(output, /demo:qemu +ok/);
  });

  it('believes neither a good count of a step that failed, nor the good end of one that counted failures', async () => {
    assert.deepEqual(
      (await runWith('case "$*" in *check*) count 9 0; exit 1;; esac')).last,
      `${9 + STEPS} passed, 1 failed`,
    );
    const { status, last } = await runWith('case "$*" in *check*) count 9 1;; esac');
    assert.deepEqual([status, last], [1, `${9 + STEPS} passed, 1 failed`]);
  });

  it('shows at the end what a step that failed said last, and nothing of the others', async () => {
    const { output } = await runWith(
      'case "$*" in *coverage*) echo "three lines short"; exit 1;; *check*) echo "all is well";; esac',
    );
    const end = output.slice(output.indexOf('=== what coverage said last'));
    assert.match(end, /three lines short[\s\S]*=== timings/);
    assert.doesNotMatch(end, /all is well/);
    assert.equal(output.split('=== what').length, 2);
  });

  it('gives the steps no input, and says that it is CI', async () => {
    const { status } = await runWith('[ "$CI" = true ] && ! read -r line');
    assert.equal(status, 0);
  });
});
