import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkLayering } from '../../scripts/checks/layering.mjs';
import { only, project } from './project.mjs';

const CLEAN = {
  'src/core/index.ts': "export { a } from './a.ts';\n",
  'src/core/a.ts': 'export const a: number = 1;\n',
  'src/host/index.ts': "export { b } from './b.ts';\n",
  'src/host/b.ts': [
    "import { readSync } from 'node:fs';",
    "import { a } from '../core/index.ts';",
    "export const b: unknown = [a, readSync, import('koffi')];",
  ].join('\n'),
};

/** @param {Record<string, string>} files */
const problemsOf = (files) => checkLayering(project({ ...CLEAN, ...files })).problems;

describe('layering', () => {
  it('finds nothing in a house that is in order', () => {
    assert.deepEqual(problemsOf({}), []);
  });

  it('refuses an import that goes up the house', () => {
    only(
      problemsOf({ 'src/core/up.ts': "import { b } from '../host/index.ts';\nexport { b };\n" }),
      /up\.ts:1: core may not import host/,
    );
  });

  it('refuses a way past the face of a room', () => {
    only(
      problemsOf({ 'src/paging/deep.ts': "export { a } from '../core/a.ts';\n" }),
      /core is entered by its face only/,
    );
  });

  it('refuses Node in a portable room, in types and computed at run time too', () => {
    only(
      problemsOf({
        'src/core/n.ts': "import type { Buffer } from 'node:buffer';\nexport type B = Buffer;\n",
      }),
      /may not use node:buffer/,
    );
    only(
      problemsOf({ 'src/core/n.ts': "export type B = import('node:buffer').Buffer;\n" }),
      /may not use node:buffer/,
    );
    only(
      problemsOf({ 'src/core/n.ts': "export const fs: unknown = await import('node:' + 'fs');\n" }),
      /must name its module literally/,
    );
  });

  it('keeps each dependency in its room', () => {
    only(
      problemsOf({ 'src/qemu/f.ts': "import koffi from 'koffi';\nexport const k: unknown = koffi;\n" }),
      /qemu may not use the package koffi/,
    );
    only(problemsOf({ 'src/core/f.ts': "import 'commander';\n" }), /core may not use the package commander/);
  });

  it('refuses files outside the rooms, and imports of what is not there', () => {
    only(problemsOf({ 'src/loose.ts': "import './core/index.ts';\n" }), /in no room of the house/);
    only(problemsOf({ 'src/core/x.ts': "import './a.js';\n" }), /\.\/a\.js is not there/);
    only(
      problemsOf({ 'src/core/x.ts': "import '../../test/core/y.ts';\n", 'test/core/y.ts': '' }),
      /leads out of src/,
    );
  });

  it('keeps tests of portable rooms portable', () => {
    const reads = "import 'node:fs';\n";
    only(problemsOf({ 'test/core/x.test.ts': reads }), /may not use node:fs/);
    assert.deepEqual(problemsOf({ 'test/host/x.test.ts': reads }), []);
    const works = "import 'node:worker_threads';\n";
    only(problemsOf({ 'test/core/x.test.ts': works }), /may use Workers/);
    assert.deepEqual(problemsOf({ 'test/core/x.worker.test.ts': works }), []);
  });
});
