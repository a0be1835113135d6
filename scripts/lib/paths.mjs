import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/[/\\]$/, '');

/** True in continuous integration, where nothing may be skipped. */
export const IN_CI = process.env['CI'] === 'true';

/** Folders that are installed or fetched, never written by us. */
const NOT_OURS = new Set(['node_modules', '.git', '.cache']);

/**
 * Every file below a folder, as sorted paths relative to `root` with forward slashes; none if there is no such folder.
 *
 * @param {string} root
 * @param {string} folder relative to root
 * @param {(file: string) => boolean} [wanted]
 * @returns {string[]}
 */
export function filesUnder(root, folder, wanted = () => true) {
  /** @type {string[]} */
  const found = [];
  /** @param {string} below */
  const visit = (below) => {
    for (const entry of readdirSync(path.join(root, below), { withFileTypes: true })) {
      const file = below === '.' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory() && !NOT_OURS.has(entry.name)) visit(file);
      else if (entry.isFile() && wanted(file)) found.push(file);
    }
  };
  try {
    visit(folder);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return found.sort();
}

/**
 * @param {unknown} error
 * @returns {boolean} whether a file-system call failed because nothing is there
 */
export function isMissing(error) {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
