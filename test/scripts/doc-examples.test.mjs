import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { checkDocExamples } from '../../scripts/checks/doc-examples.mjs';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { only, project } from './project.mjs';

/**
 * @param {string} code
 * @param {string} info
 */
const comment = (code, info = 'ts') =>
  `/**\n * It.\n *\n * @example\n * \`\`\`${info}\n${code.replace(/^/gm, ' * ')}\n * \`\`\`\n */\nexport const a: number = 1;\n`;

/** @param {Record<string, string>} files */
async function problemsOf(files) {
  const tsconfig = readFileSync(path.join(ROOT, 'tsconfig.json'), 'utf8');
  return (
    await checkDocExamples(
      project({ 'package.json': '{ "type": "module" }', 'tsconfig.json': tsconfig, ...files }),
    )
  ).problems;
}

const ASSERT = "import assert from 'node:assert/strict';\n";

describe('examples in documentation', () => {
  it('compiles and runs what is right', async () => {
    const markdown = `Text.\n\n\`\`\`ts\n${ASSERT}assert.equal(1 + 1, 2);\n\`\`\`\n\n\`\`\`sh\nnot typescript\n\`\`\`\n`;
    assert.deepEqual(
      await problemsOf({ 'src/core/a.ts': comment(`${ASSERT}assert.ok(true);`), 'README.md': markdown }),
      [],
    );
  });

  it('names the line of the source whose example does not compile', async () => {
    only(
      await problemsOf({ 'src/core/a.ts': comment(`${ASSERT}assert.ok(true);\nconst n: number = 'x';`) }),
      /^src\/core\/a\.ts:8: error TS2322/,
    );
    only(
      await problemsOf({ 'docs/b.md': "\n```ts no-run\nconst n: number = 'x';\n```\n" }),
      /^docs\/b\.md:3: error TS2322/,
    );
  });

  it('names an example that fails, and runs no other than those that should', async () => {
    only(
      await problemsOf({ 'src/core/a.ts': comment(`${ASSERT}assert.equal(1, 2);`) }),
      /^src\/core\/a\.ts:6: The example failed/,
    );
    assert.deepEqual(await problemsOf({ 'src/core/a.ts': comment('process.exit(1);', 'ts no-run') }), []);
  });

  it('names an example that asserts nothing', async () => {
    only(await problemsOf({ 'src/core/a.ts': comment('const one = 1;') }), /asserts nothing/);
  });
});
