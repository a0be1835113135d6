import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TSC } from '../lib/build.mjs';
import { docComments, fencedBlocks } from '../lib/doc-comment.mjs';
import { filesUnder } from '../lib/paths.mjs';
import { eachAtOnce, run } from '../lib/run.mjs';

const RUN_TIMEOUT_MS = 120_000;

/**
 * @typedef {object} Example
 * @property {string} file where it stands
 * @property {number} line
 * @property {string} code
 * @property {boolean} runs false for `ts no-run`
 * @property {string} name of the file that is made of it, without an ending
 */

/**
 * Every TypeScript block of the documentation is compiled, strictly, and run as a program of its own: those in comments of
 * the sources and those in Markdown.
 *
 * @param {string} root
 * @returns {Promise<import('../lib/checking.mjs').Finding>}
 */
export async function checkDocExamples(root) {
  const examples = [...inSources(root), ...inMarkdown(root)];
  const summary = `${examples.filter(({ runs }) => runs).length} run, ${examples.filter(({ runs }) => !runs).length} compiled only`;
  /** @type {string[]} */
  const problems = examples
    .filter(({ file, runs, code }) => runs && file.startsWith('src/') && !/\bassert\b/.test(code))
    .map(({ file, line }) => `${file}:${line}: The example asserts nothing`);
  if (examples.length === 0) return { problems, summary };

  // Inside the project, so that `import 'guestmem'` finds the package itself.
  const folder = path.join(root, '.cache/doc-examples');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const example of examples) {
    // The block stands on the lines that it has in its file, so that messages name the right ones.
    const text = `${'\n'.repeat(example.line - 1)}${example.code}\nexport {};\n`;
    writeFileSync(path.join(folder, `${example.name}.ts`), text);
  }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  const compiled = await run(process.execPath, [TSC, '-p', folder, '--pretty', 'false'], { cwd: root });
  if (compiled.status !== 0) {
    problems.push(
      ...compiled.output
        .trim()
        .split('\n')
        .map((line) => naming(examples, line)),
    );
    return { problems, summary };
  }
  await eachAtOnce(
    examples.filter(({ runs }) => runs),
    async ({ file, line, name }) => {
      const program = path.join(folder, 'out', `${name}.js`);
      const { status, output } = await run(process.execPath, [program], {
        cwd: folder,
        timeoutMs: RUN_TIMEOUT_MS,
      });
      if (status !== 0)
        problems.push(`${file}:${line}: The example failed with status ${status}\n${output.trim()}`);
    },
  );
  return { problems, summary };
}

const TSCONFIG = {
  extends: '../../tsconfig.json',
  compilerOptions: {
    rootDir: '.',
    outDir: 'out',
    // An example may be a page's: it has the browser's types as well as Node's.
    lib: ['es2023', 'dom'],
    declaration: false,
    isolatedDeclarations: false,
    sourceMap: false,
    incremental: false,
    tsBuildInfoFile: null,
    noUnusedLocals: false,
  },
  include: ['*.ts'],
};

/**
 * @param {string} root
 * @returns {Example[]}
 */
function inSources(root) {
  return filesUnder(root, 'src', (file) => file.endsWith('.ts')).flatMap((file) =>
    docComments(readFileSync(path.join(root, file), 'utf8')).flatMap(({ lines, line }) =>
      examplesOf(file, fencedBlocks(lines, line)),
    ),
  );
}

/**
 * @param {string} root
 * @returns {Example[]}
 */
function inMarkdown(root) {
  const files = [
    ...filesUnder(root, '.', (file) => /^[^/]+\.md$/.test(file)),
    ...filesUnder(root, 'docs', (file) => file.endsWith('.md')),
  ];
  return files.flatMap((file) =>
    examplesOf(file, fencedBlocks(readFileSync(path.join(root, file), 'utf8').split('\n'))),
  );
}

/**
 * @param {string} file
 * @param {import('../lib/doc-comment.mjs').Block[]} blocks
 * @returns {Example[]}
 */
function examplesOf(file, blocks) {
  return blocks
    .filter(({ info }) => /^(?:ts|typescript)\b/.test(info))
    .map(({ info, code, line }) => ({
      file,
      line,
      code,
      runs: !/\bno-run\b/.test(info),
      name: `${file.replace(/[^\w-]+/g, '_')}_${line}`,
    }));
}

/**
 * @param {readonly Example[]} examples
 * @param {string} message of the compiler
 * @returns {string} the same with the file where the example stands
 */
function naming(examples, message) {
  const made = /([\w-]+)\.ts\((\d+)/.exec(message);
  const example = examples.find(({ name }) => name === made?.[1]);
  return example === undefined
    ? message
    : `${example.file}:${made?.[2]}: ${message.slice(message.indexOf('error'))}`;
}
