// npm run docs:api: generates the API reference into docs/api/, which is not kept in git. TypeDoc needs a compiler of
// its own, older than ours, so both are installed apart, into an ignored folder. A warning is an error: a link in a
// comment that leads nowhere, for one.
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { readPackage } from './lib/package.mjs';
import { isMissing, ROOT } from './lib/paths.mjs';
import { prepareTools } from './lib/prepare.mjs';
import { run } from './lib/run.mjs';
import { duration, indent, main, note, Stop, say } from './lib/say.mjs';

const TOOLS = { typedoc: '0.28.20', typescript: '6.0.3' };
const TOOLS_FOLDER = path.join(ROOT, '.cache/docs');
const OUTPUT = path.join(ROOT, 'docs/api');
const INSTALL_TIMEOUT_MS = 300_000;

await main(async () => {
  // Node's and the dependencies' types are among the packages.
  await prepareTools();
  await installTools();
  const start = performance.now();
  const { modules, problems } = await generate();
  if (problems.length > 0) {
    rmSync(OUTPUT, { recursive: true, force: true });
    throw new Stop(`Cannot make the API reference: ${problems.length} found\n${indent(problems.join('\n'))}`);
  }
  say(`docs/api/index.html: ${modules} modules (${duration(performance.now() - start)})`);
});

/** Installs `TOOLS` in exactly these versions, unless they are there. */
async function installTools() {
  const missing = Object.entries(TOOLS).filter(([name, version]) => versionOf(name) !== version);
  if (missing.length === 0) return;
  const specs = Object.entries(TOOLS).map(([name, version]) => `${name}@${version}`);
  note(`Installing ${specs.join(', ')} ...`);
  const options = ['--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund'];
  const { status, output } = await run(
    'npm',
    ['install', ...options, '--loglevel=error', '--prefix', TOOLS_FOLDER, ...specs],
    { timeoutMs: INSTALL_TIMEOUT_MS },
  );
  if (status !== 0) throw new Stop(`Cannot install ${specs.join(', ')}: npm said\n${indent(output)}`);
}

/**
 * @param {string} name
 * @returns {string | undefined} the version that is installed
 */
function versionOf(name) {
  try {
    const file = path.join(TOOLS_FOLDER, 'node_modules', name, 'package.json');
    return JSON.parse(readFileSync(file, 'utf8')).version;
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

/**
 * Every subpath of the package is a module of the reference, under the name by which it is imported.
 *
 * @returns {Promise<{ modules: number, problems: string[] }>}
 */
async function generate() {
  const typedoc = await import(
    pathToFileURL(path.join(TOOLS_FOLDER, 'node_modules/typedoc/dist/index.js')).href
  );
  const names = moduleNames();
  const app = await typedoc.Application.bootstrap({
    name: 'guestmem',
    readme: 'none',
    entryPoints: [...names.keys()].map((face) => path.join(ROOT, face)),
    tsconfig: path.join(ROOT, 'tsconfig.json'),
    basePath: ROOT,
    // Where the sources will be browsed is not known here.
    disableSources: true,
    excludePrivate: true,
    excludeProtected: true,
    excludeInternal: true,
    validation: { invalidLink: true, notExported: false, notDocumented: false },
  });
  /** @type {string[]} */
  const problems = [];
  app.logger = new (class extends typedoc.Logger {
    /**
     * @param {string} message
     * @param {number} level
     */
    log(message, level) {
      if (level >= typedoc.LogLevel.Warn) problems.push(message);
    }
  })();
  const project = await app.convert();
  if (project === undefined || problems.length > 0) return { modules: 0, problems };
  app.validate(project);
  const modules = project.children ?? [];
  for (const module of modules) {
    const name = names.get(`${module.name}/index.ts`);
    if (name === undefined) problems.push(`The module ${module.name} is no subpath of the package`);
    else module.name = name;
  }
  rmSync(OUTPUT, { recursive: true, force: true });
  await app.generateDocs(project, OUTPUT);
  return { modules: modules.length, problems };
}

/** @returns {Map<string, string>} from the source of a face to the name by which it is imported */
function moduleNames() {
  const { name, exports } = readPackage(ROOT);
  /** @type {Map<string, string>} */
  const names = new Map();
  for (const [subpath, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue;
    const face = target.types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts');
    names.set(face, path.posix.join(name, subpath));
  }
  return names;
}
