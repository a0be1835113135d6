import { lstatSync, statSync } from 'node:fs';
import path from 'node:path';
import { build } from './build.mjs';
import { readPackage } from './package.mjs';
import { isMissing, ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { duration, indent, note, Stop } from './say.mjs';

const INSTALL_TIMEOUT_MS = 600_000;

/** What every command does first: the right Node, the packages of the lock file, compiled output. */
export async function prepare() {
  await prepareTools();
  await build();
}

/** The same without the compiled output. */
export async function prepareTools() {
  checkNode();
  await install();
}

/** Refuses a Node that is older than the package supports. */
export function checkNode(running = process.versions.node, wanted = readPackage(ROOT).engines.node) {
  const floor = wanted.replace(/^>=/, '').split('.').map(Number);
  const have = running.split('.').map(Number);
  for (const [at, least] of floor.entries()) {
    const part = have[at] ?? 0;
    if (part > least) return;
    if (part < least)
      throw new Stop(`Node ${running} is too old: guestmem needs Node ${wanted} (https://nodejs.org)`);
  }
}

/** Runs `npm ci` when there is no node_modules, or one older than the lock file. */
async function install() {
  // A linked node_modules is another folder's, and npm ci would empty it.
  if (lstatSync(path.join(ROOT, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) return;
  if (installedAt() >= statSync(path.join(ROOT, 'package-lock.json')).mtimeMs) return;
  note('Installing packages (npm ci) ...');
  const start = performance.now();
  // Nothing we depend on needs its install script: the compilers and koffi come prebuilt.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--fetch-retries=5'];
  const npm = process.env['npm_execpath'];
  const { status, output } =
    npm === undefined
      ? await run('npm', args, { cwd: ROOT, timeoutMs: INSTALL_TIMEOUT_MS })
      : await run(process.execPath, [npm, ...args], { cwd: ROOT, timeoutMs: INSTALL_TIMEOUT_MS });
  if (status !== 0) {
    process.stderr.write(`${indent(output)}\n`);
    throw new Stop('Cannot install the packages: npm ci failed, its message is above');
  }
  note(`Installed in ${duration(performance.now() - start)}`);
}

/** @returns {number} when npm last wrote node_modules, 0 if it never finished doing so */
function installedAt() {
  try {
    return statSync(path.join(ROOT, 'node_modules/.package-lock.json')).mtimeMs;
  } catch (error) {
    if (!isMissing(error)) throw error;
    return 0;
  }
}
