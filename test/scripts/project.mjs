import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { ROOT } from '../../scripts/lib/paths.mjs';

/** Makes a word out of its parts: these files are checked too, and may not hold what they plant. */
export const planted = (/** @type {string[]} */ ...parts) => parts.join('');

/**
 * A throw-away project with these files, and the real one's packages; gone when the tests of the file are over.
 *
 * @param {Record<string, string>} files
 * @returns {string} its folder
 */
export function project(files) {
  const root = mkdtempSync(path.join(tmpdir(), 'guestmem-planted-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  return root;
}

/**
 * @param {readonly string[]} problems
 * @param {RegExp} pattern
 */
export function only(problems, pattern) {
  if (problems.length !== 1 || !pattern.test(problems[0] ?? '')) {
    throw new Error(`Wanted one problem like ${pattern}, found ${JSON.stringify(problems, null, 2)}`);
  }
}
