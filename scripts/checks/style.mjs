import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { run } from '../lib/run.mjs';

/**
 * Format and lint.
 *
 * @param {string} root
 * @returns {Promise<import('../lib/checking.mjs').Finding>}
 */
export async function checkStyle(root) {
  const biome = path.join(ROOT, 'node_modules/.bin/biome');
  const { status, output } = await run(
    biome,
    ['ci', '--colors=off', '--error-on-warnings', '--max-diagnostics=50'],
    { cwd: root },
  );
  const summary = /Checked \d+ files/.exec(output)?.[0] ?? 'Checked nothing';
  return { problems: status === 0 ? [] : [output.trim()], summary: summary.toLowerCase() };
}
