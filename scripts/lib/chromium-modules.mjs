import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Node's own modules that tests of portable rooms use; scripts/browser has them for a page. @type {Readonly<Record<string, string>>} */
const OURS = {
  'node:test': '/browser/node-test.mjs',
  'node:assert/strict': '/browser/assert.mjs',
  'node:worker_threads': '/browser/worker-threads.mjs',
};

/** What a page takes of a package's `exports`, whichever comes first there. */
const CONDITIONS = ['browser', 'import', 'default'];

/**
 * Where the server has a module that is imported by its package's name.
 *
 * @param {string} root
 * @param {string} specifier such as `guestmem/paging`
 * @returns {string} an address such as `/dist/src/paging/index.js`
 */
export function resolveInPage(root, specifier) {
  const ours = OURS[specifier];
  if (ours !== undefined) return ours;
  const [, name = '', below = ''] = /^((?:@[^/]+\/)?[^/:]+)(\/.+)?$/.exec(specifier) ?? [];
  if (name === '') throw new Error(`A page has no ${specifier}`);
  const own = readExports(root);
  const folder = own.name === name ? '' : `/node_modules/${name}`;
  const { exports } = folder === '' ? own : readExports(path.join(root, folder));
  const bySubpath = isRecord(exports) && Object.keys(exports).some((key) => key.startsWith('.'));
  const target = choose((bySubpath ? exports : { '.': exports })[`.${below}`]);
  if (target === undefined) throw new Error(`A page has no ${specifier}: ${name} does not export it`);
  return path.posix.join('/', folder, target);
}

/**
 * @param {string} folder
 * @returns {{ name?: unknown, exports?: unknown }}
 */
function readExports(folder) {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
}

/**
 * @param {unknown} target a path, or targets by condition
 * @returns {string | undefined}
 */
function choose(target) {
  if (typeof target === 'string') return target;
  if (!isRecord(target)) return undefined;
  for (const [condition, inner] of Object.entries(target)) {
    const chosen = CONDITIONS.includes(condition) ? choose(inner) : undefined;
    if (chosen !== undefined) return chosen;
  }
  return undefined;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isRecord(value) {
  return typeof value === 'object' && value !== null;
}
