import { TSC } from '../lib/build.mjs';
import { run } from '../lib/run.mjs';

/** Each project and what it holds. */
const PROJECTS = [
  'tsconfig.json',
  'tsconfig.portable.json',
  'tsconfig.scripts.json',
  'tsconfig.browser.json',
];

/**
 * The sources compile: all of them, the portable rooms with nothing of Node in sight, the scripts, and the part of those
 * that runs in a page.
 *
 * @param {string} root
 * @returns {Promise<import('../lib/checking.mjs').Finding>}
 */
export async function checkTypes(root) {
  /** @type {string[]} */
  const problems = [];
  for (const project of PROJECTS) {
    const { status, output } = await run(process.execPath, [TSC, '-p', project, '--pretty', 'false'], {
      cwd: root,
    });
    if (status !== 0) problems.push(`${project}:\n${output.trim()}`);
  }
  return { problems, summary: PROJECTS.join(', ') };
}
