import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { isMissing, ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { indent, Stop } from './say.mjs';

/**
 * @typedef {object} Runtime
 * @property {'node' | 'bun' | 'deno'} kind
 * @property {string} version
 * @property {string} spec the package that holds the program, with its version
 * @property {string} program path of it inside the package
 */

/** How the packages name the processor. */
const CPU =
  process.arch === 'arm64'
    ? { node: 'arm64', bun: 'aarch64', deno: 'arm64' }
    : { node: 'x64', bun: 'x64', deno: 'x64' };

/** @type {readonly Runtime[]} */
export const RUNTIMES = [
  ...['20.20.2', '22.23.3', '24.21.0', '26.10.0'].map((version) => ({
    kind: /** @type {const} */ ('node'),
    version,
    spec: `node-linux-${CPU.node}@${version}`,
    program: 'bin/node',
  })),
  { kind: 'bun', version: '1.4.4', spec: `@oven/bun-linux-${CPU.bun}@1.4.4`, program: 'bin/bun' },
  { kind: 'deno', version: '2.9.6', spec: `@deno/linux-${CPU.deno}-glibc@2.9.6`, program: 'deno' },
];

const FOLDER = path.join(ROOT, '.cache/runtimes');
const FETCH_TIMEOUT_MS = 300_000;

/**
 * Fetches a runtime as a package into an ignored folder, once. Nothing of it runs while it is installed.
 *
 * @param {Runtime} runtime
 * @returns {Promise<string>} path of the program
 */
export async function fetchRuntime(runtime) {
  const { kind, version, spec } = runtime;
  if (process.platform !== 'linux')
    throw new Stop('The runtimes are fetched for Linux only; run your own with --node');
  const program = programOf(runtime);
  if (!existsSync(program)) {
    const options = [
      '--ignore-scripts',
      '--no-save',
      '--no-package-lock',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--fetch-retries=5',
    ];
    const into = path.join(FOLDER, `${kind}-${version}`);
    const { status, output } = await run('npm', ['install', ...options, '--prefix', into, spec], {
      timeoutMs: FETCH_TIMEOUT_MS,
    });
    if (status !== 0) throw new Stop(`Cannot fetch ${spec}: npm said\n${indent(output)}`);
  }
  const { status, output } = await run(program, ['--version'], { timeoutMs: 30_000 });
  if (status !== 0 || !output.includes(version))
    throw new Stop(`${spec} is not ${kind} ${version}; it says\n${indent(output)}`);
  return program;
}

/**
 * @param {Runtime} runtime
 * @returns {string}
 */
function programOf({ kind, version, spec, program }) {
  return path.join(
    FOLDER,
    `${kind}-${version}`,
    'node_modules',
    spec.slice(0, spec.lastIndexOf('@')),
    program,
  );
}

/**
 * @returns {string | undefined} the newest Node that was fetched before
 */
export function newestFetchedNode() {
  try {
    const fetched = readdirSync(FOLDER);
    return RUNTIMES.filter(({ kind, version }) => kind === 'node' && fetched.includes(`node-${version}`))
      .map(programOf)
      .filter((program) => existsSync(program))
      .at(-1);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}
