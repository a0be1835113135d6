import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { checkExamples } from '../../scripts/checks/examples.mjs';
import { checkLinks } from '../../scripts/checks/links.mjs';
import { checkWords } from '../../scripts/checks/words.mjs';
import { only, planted, project } from './project.mjs';

describe('links', () => {
  /** @param {string} text */
  const problemsOf = (text) =>
    checkLinks(project({ 'README.md': text, 'docs/b.md': '# A `b` & c\n\n## Two\n\n## Two\n' })).problems;

  it('follows those that lead somewhere', () => {
    assert.deepEqual(
      problemsOf(
        '[b](docs/b.md#a-b--c) [c](docs/b.md#two-1) [d](https://example.org/x) [e](docs)\n\n[f]: docs/b.md\n',
      ),
      [],
    );
    assert.deepEqual(problemsOf('`[x](nowhere.md)`\n\n```\n[x](nowhere.md)\n```\n'), []);
  });

  it('names those that do not', () => {
    only(problemsOf('\n[x](nowhere.md)\n'), /README\.md:2: nowhere\.md: there is no such file/);
    only(problemsOf('[x](docs/b.md#three)\n'), /no such heading/);
    only(problemsOf('[x](#three)\n'), /no such heading/);
    only(problemsOf('[x](../elsewhere.md)\n'), /no such file/);
  });
});

describe('words', () => {
  /** @param {string} text */
  const problemsOf = (text) => checkWords(project({ 'docs/a.md': text })).problems;

  it('lets ordinary text pass', () => {
    assert.deepEqual(
      problemsOf('The guest mounts /mnt/disk; see https://example.org/ and /home/user/vm.\n'),
      [],
    );
  });

  it('names places of a machine and talk of the workshop', () => {
    only(problemsOf(`see ${planted('/ho', 'me/jane.doe')}/x\n`), /a\.md:1: .*somebody/);
    only(problemsOf(`a ${planted('sub', 'agent')} wrote it\n`), /how the text came to be/);
  });

  it('names the folder of the project itself', () => {
    const root = project({});
    writeFileSync(path.join(root, 'a.md'), `Run it in ${root}/dist.\n`);
    only(checkWords(root).problems, /a\.md:1: .*a place on this machine/);
  });

  it('names a download address in the lock file', () => {
    const lock = `{\n"resolved": "${planted('https://', 'mirror.example/x.tgz')}"\n}`;
    only(
      checkWords(project({ 'package-lock.json': lock })).problems,
      /package-lock\.json:2: .*no download address/,
    );
  });
});

describe('example programs', () => {
  /** @param {string} program */
  const problemsOf = async (program) =>
    (
      await checkExamples(
        project({
          'package.json': '{ "type": "module" }',
          'examples/a.ts': '',
          'dist/examples/a.js': program,
        }),
      )
    ).problems;

  it('run to their end', async () => {
    assert.deepEqual(await problemsOf('console.log(1);\n'), []);
  });

  it('are named when they fail or were not compiled', async () => {
    only(await problemsOf('process.exitCode = 3;\n'), /examples\/a\.ts: ended with status 3/);
    only(await problemsOf("throw new Error('planted');\n"), /planted/);
    const missing = project({ 'examples/a.ts': '' });
    only((await checkExamples(missing)).problems, /Cannot find module/);
  });
});
