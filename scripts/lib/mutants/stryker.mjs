import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMissing, ROOT } from '../paths.mjs';
import { run } from '../run.mjs';
import { indent, note, Stop } from '../say.mjs';

/**
 * @typedef {object} Judged a mutant and what became of it
 * @property {string} file the source, relative to the project
 * @property {number} line
 * @property {string} text of that line
 * @property {string} was the code that was changed
 * @property {string} became what stood there instead
 * @property {'killed' | 'survived' | 'ignored'} state a mutant that never ended counts as killed
 * @property {string} why of one that was ignored
 */

/** The last version that runs on Node 20. */
const STRYKER = '9.6.1';
const FOLDER = path.join(ROOT, '.cache/mutants');
const INSTALL_TIMEOUT_MS = 300_000;
const PLUGIN = fileURLToPath(new URL('./plugin.mjs', import.meta.url));

/** Installs Stryker apart from our packages, into an ignored folder, unless it is there. */
async function installStryker() {
  const folder = path.join(FOLDER, 'node_modules/@stryker-mutator/core');
  if (versionIn(folder) !== STRYKER) {
    const spec = `@stryker-mutator/core@${STRYKER}`;
    note(`Installing ${spec} ...`);
    const options = [
      '--ignore-scripts',
      '--no-save',
      '--no-package-lock',
      '--no-audit',
      '--no-fund',
      '--fetch-retries=5',
    ];
    const { status, output } = await run(
      'npm',
      ['install', ...options, '--loglevel=error', '--prefix', FOLDER, spec],
      { timeoutMs: INSTALL_TIMEOUT_MS },
    );
    if (status !== 0) throw new Stop(`Cannot install ${spec}: npm said\n${indent(output)}`);
  }
  return import(pathToFileURL(path.join(folder, 'dist/src/index.js')).href);
}

/**
 * @param {string} folder of a package
 * @returns {string | undefined}
 */
function versionIn(folder) {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).version;
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

/**
 * Changes the compiled code in every way that Stryker knows, one at a time, and runs the tests that reach the change.
 *
 * @param {import('./groups.mjs').Group} group
 * @returns {Promise<Judged[]>}
 */
export async function judge({ room, modules, tests, leftOut }) {
  const files = modules.map((module) => `dist/src/${room}/${module}.js`);
  const testFiles = tests.map((test) => `dist/test/${room}/${test}.test.js`);
  const { Stryker } = await installStryker();
  process.chdir(ROOT);
  // Read before the run: what is built meanwhile is not what is judged.
  const sources = new Map(files.map((file) => [path.resolve(file), new Compiled(file)]));
  const tempDirName = `.cache/mutants/run-${process.pid}`;
  mkdirSync(tempDirName, { recursive: true });
  const stryker = new Stryker({
    mutate: files,
    testRunner: 'guestmem',
    plugins: [PLUGIN],
    ignorers: ['wording'],
    coverageAnalysis: 'perTest',
    // A constant that is made once, when its module is loaded, would want a process for each of its mutants.
    ignoreStatic: true,
    // All that is copied: what is compiled of the rooms, and of this room's tests.
    ignorePatterns: [
      '**',
      '!/package.json',
      '!/dist',
      '!/dist/src',
      '!/dist/src/**',
      '!/dist/test',
      `!/dist/test/{${room},support}`,
      `!/dist/test/{${room},support}/**`,
    ],
    symlinkNodeModules: false,
    tempDirName,
    cleanTempDir: 'always',
    disableTypeChecks: false,
    reporters: [],
    logLevel: 'error',
    allowConsoleColors: false,
    concurrency: availableParallelism(),
    // Loops without end are counted and stopped; this is for what waits for ever, on a busy machine too.
    timeoutMS: 30_000,
    guestmem: { testFiles, leftOut: leftOut?.source },
  });
  /** @type {{ fileName: string, location: { start: Place, end: Place }, status: string, replacement: string, statusReason?: string }[]} */
  let results;
  try {
    results = await stryker.runMutationTest();
  } finally {
    rmSync(tempDirName, { recursive: true, force: true });
  }
  return results.map(({ fileName, location, status, replacement, statusReason }) => {
    const compiled = sources.get(path.resolve(fileName));
    if (compiled === undefined) throw new Error(`Stryker changed ${fileName}, which nobody asked for`);
    const line = compiled.lineOf(location.start);
    return {
      file: compiled.source,
      line,
      text: compiled.sourceLines[line - 1]?.trim() ?? '',
      was: oneLine(compiled.text(location)),
      became: oneLine(replacement),
      state: stateOf(status, statusReason),
      why: statusReason ?? '',
    };
  });
}

/**
 * @param {string} status Stryker's
 * @param {string | undefined} reason
 * @returns {Judged['state']}
 */
function stateOf(status, reason) {
  if (status === 'Killed' || status === 'Timeout') return 'killed';
  if (status === 'Survived' || status === 'NoCoverage') return 'survived';
  if (status === 'Ignored') return 'ignored';
  throw new Error(`A mutant could not be judged: ${status}: ${reason}`);
}

/** @typedef {{ line: number, column: number }} Place both counted from 1 */

/** A compiled module and the way back to its source. */
class Compiled {
  /** @param {string} file */
  constructor(file) {
    this.lines = readFileSync(file, 'utf8').split('\n');
    this.map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')));
    this.source = file.replace(/^dist\//, '').replace(/\.js$/, '.ts');
    this.sourceLines = readFileSync(this.source, 'utf8').split('\n');
  }

  /** @param {Place} place */
  lineOf({ line, column }) {
    const entry = this.map.findEntry(line - 1, column - 1);
    if (!('originalLine' in entry)) throw new Error(`Line ${line} of compiled ${this.source} has no source`);
    return entry.originalLine + 1;
  }

  /** @param {{ start: Place, end: Place }} range */
  text({ start, end }) {
    const lines = this.lines.slice(start.line - 1, end.line);
    const last = lines.length - 1;
    lines[last] = (lines[last] ?? '').slice(0, end.column - 1);
    lines[0] = (lines[0] ?? '').slice(start.column - 1);
    return lines.join('\n');
  }
}

/** @param {string} text */
function oneLine(text) {
  return text.replace(/\s+/g, ' ').trim();
}
