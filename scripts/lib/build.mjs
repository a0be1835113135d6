import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { filesUnder, ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { duration, indent, note, Stop } from './say.mjs';

/** The compiler, by its path: what `npx tsc` means can change with what is installed. */
export const TSC = path.join(ROOT, 'node_modules/typescript/bin/tsc');

/** Builds, or stops with the errors. */
export async function build() {
  const start = performance.now();
  const errors = await compile();
  if (errors !== undefined) {
    process.stderr.write(`${indent(errors)}\n`);
    throw new Stop('Cannot build: the compiler found the errors above');
  }
  note(`Built in ${duration(performance.now() - start)}`);
}

/**
 * Compiles the project into dist/, removes output whose source is gone, and bundles the faces of the package.
 *
 * @returns {Promise<string | undefined>} the compiler's errors
 */
export async function compile() {
  const { status, output } = await run(process.execPath, [TSC, '-p', '.', '--pretty', 'false'], {
    cwd: ROOT,
  });
  removeStale(ROOT);
  if (status !== 0) return output;
  // Only now: on a fresh clone what it needs is not installed when this module is loaded.
  const { bundleFaces } = await import('./bundle.mjs');
  await bundleFaces();
  return undefined;
}

/**
 * Removes compiled files without a source: a deleted test must not go on passing.
 *
 * @param {string} root
 * @returns {string[]} what was removed
 */
export function removeStale(root) {
  const stale = filesUnder(root, 'dist', (file) => {
    const source = /^dist\/(?!lib\/)(.+?)\.(?:js|d\.ts)(?:\.map)?$/.exec(file)?.[1];
    return source !== undefined && !existsSync(path.join(root, `${source}.ts`));
  });
  for (const file of stale) rmSync(path.join(root, file));
  return stale;
}
