import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { run } from '../../scripts/lib/run.mjs';
import { project } from './project.mjs';

/**
 * Runs one test file as `npm run fuzz` does.
 *
 * @param {string} property
 */
async function fuzz(property) {
  const root = project({
    'a.test.mjs': `import fc from 'fast-check';\nimport { it } from 'node:test';\nit('a', () => fc.assert(${property}, { numRuns: 2 }));\n`,
  });
  const longer = path.join(ROOT, 'scripts/lib/fuzz-longer.mjs');
  const env = { ...process.env, GUESTMEM_FUZZ_MS: '4000', NODE_TEST_CONTEXT: undefined };
  return run(process.execPath, ['--import', longer, '--test', 'a.test.mjs'], {
    cwd: root,
    env,
    timeoutMs: 120_000,
  });
}

describe('npm run fuzz', () => {
  it('runs a property for a time, whatever number of runs the test wants', async () => {
    const { status, output } = await fuzz('fc.property(fc.nat(), () => true)');
    assert.equal(status, 0, output);
    assert(Number(/fuzzed (\d+) inputs/.exec(output)?.[1]) > 2, output);
  });

  it('finds what two runs do not', async () => {
    const { status, output } = await fuzz('fc.property(fc.nat(1000), (n) => n !== 417)');
    assert.notEqual(status, 0);
    assert.match(output, /Counterexample: \[417\]/);
  });
});
