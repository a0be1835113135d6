import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkPackageShape } from '../../scripts/checks/package-shape.mjs';
import { project } from './project.mjs';

const GOOD = {
  'package.json': JSON.stringify({
    name: 'planted',
    version: '1.0.0',
    license: 'Apache-2.0',
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20.19' },
    files: ['dist/src', 'src', 'CHANGELOG.md'],
    exports: { '.': { types: './dist/src/core/index.d.ts', default: './dist/src/core/index.js' } },
  }),
  'README.md': '# planted\n',
  LICENSE: 'Apache-2.0\n',
  'CHANGELOG.md': '# Changelog\n',
  'src/core/index.ts': 'export const a: number = 1;\n',
  'dist/src/core/index.js': 'export const a = 1;\n',
  'dist/src/core/index.d.ts': 'export declare const a: number;\n',
};

/** @param {Record<string, string>} files */
const problemsOf = async (files) => (await checkPackageShape(project({ ...GOOD, ...files }))).problems;

describe('package shape', () => {
  it('agrees with a package that is in order', async () => {
    assert.deepEqual(await problemsOf({}), []);
  });

  it('names types that a project without the browser’s library does not have', async () => {
    const problems = await problemsOf({
      'dist/src/core/index.d.ts': 'export declare const a: WebAssembly.Memory;\n',
    });
    assert.match(problems.join('\n'), /cannot compile against it[\s\S]*WebAssembly/);
  });

  it('names a dependency that is needed on import', async () => {
    const problems = await problemsOf({ 'dist/src/core/index.js': "import 'koffi';\nexport const a = 1;\n" });
    assert.match(problems.join('\n'), /cannot import the package[\s\S]*koffi/);
  });

  it('names what is missing, and what does not belong', async () => {
    const manifest = { ...JSON.parse(GOOD['package.json']), files: ['dist', 'src'] };
    const problems = await problemsOf({ 'package.json': JSON.stringify(manifest), 'dist/test/a.js': '' });
    assert.match(problems.join('\n'), /package\/dist\/test\/a\.js does not belong/);
    assert.match(problems.join('\n'), /CHANGELOG\.md is missing/);
  });

  it('passes on what publint and attw say', async () => {
    const problems = await problemsOf({ 'dist/src/core/index.js': 'module.exports = { a: 1 };\n' });
    assert.match(problems.join('\n'), /publint: /);
    const untyped = JSON.parse(GOOD['package.json']);
    untyped.exports['.'] = { types: './dist/src/core/none.d.ts', default: './dist/src/core/index.js' };
    assert.match((await problemsOf({ 'package.json': JSON.stringify(untyped) })).join('\n'), /attw: /);
  });
});
