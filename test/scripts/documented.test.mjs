import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkDocumented } from '../../scripts/checks/documented.mjs';
import { only, project } from './project.mjs';

const EXAMPLE = ' * @example\n * ```ts\n * assert(true);\n * ```\n';

/**
 * @param {string} source of the room's one file
 * @param {string} face
 * @param {string} room
 */
function problemsOf(source, face = "export { a } from './a.ts';\n", room = 'core') {
  const target = `./dist/src/${room}/index`;
  return checkDocumented(
    project({
      'package.json': JSON.stringify({
        exports: {
          '.': { types: `${target}.d.ts`, default: `${target}.js` },
          './package.json': './package.json',
        },
      }),
      [`src/${room}/index.ts`]: face,
      [`src/${room}/a.ts`]: source,
    }),
  ).problems;
}

describe('documented', () => {
  it('finds nothing where everything says what it does', () => {
    assert.deepEqual(problemsOf(`/** Does it.\n${EXAMPLE} */\nexport function a(): void {}\n`), []);
    assert.deepEqual(problemsOf('/** A number. */\nexport const a: number = 1;\n'), []);
    assert.deepEqual(problemsOf('/** Does it. */\nexport function a(): void {}\n', undefined, 'host'), []);
  });

  it('names an export without a comment, or with tags alone', () => {
    only(problemsOf('export const a: number = 1;\n'), /a\.ts:1: a is not documented/);
    only(problemsOf('/* not for users */\nexport const a: number = 1;\n'), /a is not documented/);
    only(problemsOf('/** @internal */\nexport const a: number = 1;\n'), /a is not documented/);
  });

  it('names a function or class of a portable room without an example', () => {
    only(problemsOf('/** Does it. */\nexport function a(): void {}\n'), /a has no @example/);
    only(problemsOf('/** Does it. */\nexport const a = (): void => undefined;\n'), /a has no @example/);
    only(problemsOf('/** Does it.\n * @example none\n */\nexport class a {}\n'), /a has no @example/);
  });

  it('names a public method that says nothing', () => {
    const members =
      'constructor() {}\n  #hidden() {}\n  private own() {}\n  [Symbol.dispose]() {}\n  plain = 1;';
    assert.deepEqual(problemsOf(`/** It.\n${EXAMPLE} */\nexport class a {\n  ${members}\n}\n`), []);
    only(
      problemsOf(`/** It.\n${EXAMPLE} */\nexport class a {\n  ${members}\n  go() {}\n}\n`),
      /a\.go is not documented/,
    );
    only(problemsOf('/** It. */\nexport interface a {\n  go(): void;\n}\n'), /a\.go is not documented/);
    only(
      problemsOf('/** It. */\nexport interface a {\n  readonly go: () => void;\n}\n'),
      /a\.go is not documented/,
    );
  });

  it('takes what an interface or a base class says for what implements it', () => {
    const door = '/** A door. */\nexport interface Door {\n  /** Opens. */\n  open(): void;\n}\n';
    assert.deepEqual(
      problemsOf(`${door}/** It.\n${EXAMPLE} */\nexport class a implements Door {\n  open() {}\n}\n`),
      [],
    );
    only(
      problemsOf(
        `${door}/** It.\n${EXAMPLE} */\nexport class a implements Door {\n  open() {}\n  shut() {}\n}\n`,
      ),
      /a\.shut/,
    );
  });

  it('follows names that are exported by way of another', () => {
    const source = 'const inner = 1;\nexport { inner as a };\n';
    only(problemsOf(source), /a\.ts:1: inner is not documented/);
    only(problemsOf(source, "import { a } from './a.ts';\nexport { a };\n"), /inner is not documented/);
  });

  it('names a face that is published and not there', () => {
    only(problemsOf('', "export { b } from './a.ts';\n"), /cannot find where b is declared/);
    const root = project({
      'package.json': JSON.stringify({
        exports: { './x': { types: './dist/src/x/index.d.ts', default: './dist/lib/x.js' } },
      }),
    });
    only(checkDocumented(root).problems, /src\/x\/index\.ts: this face is published and not there/);
  });
});
