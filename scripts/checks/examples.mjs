import path from 'node:path';
import { filesUnder } from '../lib/paths.mjs';
import { eachAtOnce, run } from '../lib/run.mjs';

const RUN_TIMEOUT_MS = 120_000;

/**
 * Every program in examples/ runs to its end. Files in folders below are parts of programs, such as their Workers.
 *
 * @param {string} root
 * @returns {Promise<import('../lib/checking.mjs').Finding>}
 */
export async function checkExamples(root) {
  const sources = filesUnder(root, 'examples', (file) => /^examples\/[^/]+\.ts$/.test(file));
  /** @type {string[]} */
  const problems = [];
  await eachAtOnce(sources, async (source) => {
    const program = path.join(root, 'dist', source.replace(/\.ts$/, '.js'));
    const { status, output } = await run(process.execPath, [program], {
      cwd: root,
      timeoutMs: RUN_TIMEOUT_MS,
    });
    if (status !== 0) problems.push(`${source}: ended with status ${status}\n${output.trim()}`);
  });
  return { problems, summary: `${sources.length} programs run` };
}
