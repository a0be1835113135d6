import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { checkStyle } from '../../scripts/checks/style.mjs';
import { checkTypes } from '../../scripts/checks/types.mjs';
import { removeStale } from '../../scripts/lib/build.mjs';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { only, project } from './project.mjs';

/**
 * @param {string[]} names of files of the real project
 * @returns {Record<string, string>}
 */
const settings = (...names) =>
  Object.fromEntries(names.map((name) => [name, readFileSync(path.join(ROOT, name), 'utf8')]));

const PROJECTS = settings(
  'tsconfig.json',
  'tsconfig.portable.json',
  'tsconfig.scripts.json',
  'tsconfig.browser.json',
);
const SCRIPT = {
  'scripts/a.mjs': '/** @type {number} */\nexport const a = 1;\n',
  'scripts/browser/b.mjs': 'export const b = location.search;\n',
};

describe('types', () => {
  /** @param {Record<string, string>} files */
  const problemsOf = async (files) =>
    (await checkTypes(project({ 'package.json': '{ "type": "module" }', ...PROJECTS, ...SCRIPT, ...files })))
      .problems;
  const source = 'export const a: number = 1;\n';

  it('finds nothing in what compiles', async () => {
    assert.deepEqual(await problemsOf({ 'src/core/a.ts': source }), []);
  });

  it('names an error in a source, a portable room or a page that knows Node, and an error in a script', async () => {
    only(
      await problemsOf({ 'src/core/a.ts': source, 'src/host/b.ts': "export const b: number = 'x';\n" }),
      /^tsconfig\.json:[\s\S]*TS2322/,
    );
    only(
      await problemsOf({ 'src/core/a.ts': 'export const a: unknown = process;\n' }),
      /^tsconfig\.portable\.json:[\s\S]*process/,
    );
    only(
      await problemsOf({
        'src/core/a.ts': source,
        'scripts/a.mjs': SCRIPT['scripts/a.mjs'].replace('1', "''"),
      }),
      /^tsconfig\.scripts\.json:/,
    );
    only(
      await problemsOf({ 'src/core/a.ts': source, 'scripts/browser/b.mjs': 'export const b = process;\n' }),
      /^tsconfig\.browser\.json:[\s\S]*process/,
    );
  });
});

describe('style', () => {
  const base = settings('biome.json', '.gitignore');
  /** @param {Record<string, string>} files */
  const problemsOf = async (files) => (await checkStyle(project({ ...base, ...files }))).problems;

  it('finds nothing in what is formatted', async () => {
    assert.deepEqual(await problemsOf({ 'src/a.ts': 'export const a: number = 1;\n' }), []);
  });

  for (const [what, file, text, pattern] of /** @type {const} */ ([
    ['format', 'src/a.ts', 'export const a:number=1\n', /format/],
    ['any', 'src/a.ts', 'export const a: any = 1;\n', /noExplicitAny/],
    [
      'non-null assertions',
      'src/a.ts',
      'export const a = (b?: string): string => b!;\n',
      /noNonNullAssertion/,
    ],
    ['empty catches', 'src/a.ts', 'try {\n  JSON.parse(``);\n} catch {}\n', /noEmptyBlockStatements/],
    ['export *', 'src/a.ts', "export * from './b.ts';\n", /noReExportAll/],
    ['file names', 'src/aB.ts', 'export const a: number = 1;\n', /useFilenamingConvention/],
  ])) {
    it(`refuses ${what}`, async () => only(await problemsOf({ [file]: text }), pattern));
  }
});

describe('build', () => {
  it('removes output whose source is gone, and nothing else', () => {
    const root = project({
      'src/core/kept.ts': '',
      'dist/src/core/kept.js': '',
      'dist/src/core/kept.js.map': '',
      'dist/src/core/kept.d.ts': '',
      'dist/test/core/gone.test.js': '',
      'dist/test/core/gone.test.d.ts': '',
      'dist/.tsbuildinfo': '',
    });
    assert.deepEqual(removeStale(root), ['dist/test/core/gone.test.d.ts', 'dist/test/core/gone.test.js']);
    assert.equal(existsSync(path.join(root, 'dist/test/core/gone.test.js')), false);
    assert.equal(existsSync(path.join(root, 'dist/.tsbuildinfo')), true);
    assert.deepEqual(removeStale(root), []);
  });
});
