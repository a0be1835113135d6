import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countCases } from '../../scripts/lib/junit.mjs';
import { checkNode } from '../../scripts/lib/prepare.mjs';
import { run } from '../../scripts/lib/run.mjs';
import { Stop } from '../../scripts/lib/say.mjs';
import { runTestFile } from '../../scripts/lib/test-file.mjs';
import { allTests, portableTests } from '../../scripts/lib/test-files.mjs';
import { project } from './project.mjs';

describe('the Node that is needed', () => {
  it('is refused in one line when too old', () => {
    for (const old of ['18.20.4', '20.18.3']) {
      assert.throws(
        () => checkNode(old, '>=20.19'),
        (error) => error instanceof Stop && /Node .* is too old: .* >=20\.19/.test(error.message),
      );
    }
    for (const fine of ['20.19.0', '20.20.2', '22.0.0', '26.1.0']) checkNode(fine, '>=20.19');
  });
});

describe('running a program', () => {
  it('gives its status and what it said', async () => {
    const { status, output } = await run(process.execPath, [
      '-e',
      'console.log(1); console.error(2); process.exit(3)',
    ]);
    assert.equal(status, 3);
    assert.deepEqual(output.trim().split('\n').sort(), ['1', '2']);
  });

  it('says what could not be started', async () => {
    const { status, output } = await run('/nowhere/guestmem-none', []);
    assert.equal(status, 127);
    assert.match(output, /Cannot start \/nowhere/);
  });

  it('ends one that hangs, and what it started', async () => {
    const child =
      "require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' })";
    const began = performance.now();
    const { status, timedOut } = await run(
      process.execPath,
      ['-e', `${child}; setInterval(() => {}, 1000)`],
      { timeoutMs: 500 },
    );
    assert.equal(timedOut, true);
    assert.notEqual(status, 0);
    // The output closes only when the grandchild is gone as well.
    assert.ok(performance.now() - began < 20_000);
  });
});

describe('running a test file', () => {
  const HEAD =
    "import assert from 'node:assert/strict';\nimport { before, describe, it } from 'node:test';\n";

  /** @param {string} text */
  const resultOf = (text) => {
    const root = project({ 'package.json': '{ "type": "module" }', 'a.test.js': `${HEAD}${text}` });
    return runTestFile('node', process.execPath, 'a.test.js', { timeoutMs: 60_000, root });
  };

  it('counts tests, not suites', async () => {
    const { passed, failed, skipped } = await resultOf(
      "describe('s', () => { it('one', () => {}); describe('t', () => { it('two', () => {}); }); });\nit('three', () => {});\n",
    );
    assert.deepEqual([passed, failed, skipped], [3, 0, []]);
  });

  it('shows a failure with its whole name and cause', async () => {
    const { passed, failed, output } = await resultOf(
      "describe('s', () => { it('one', () => {}); it('two', () => assert.equal(1, 2)); });\n",
    );
    assert.deepEqual([passed, failed], [1, 1]);
    assert.match(output, /FAILED s > two[\s\S]*1 !== 2/);
  });

  for (const [what, text, pattern] of /** @type {const} */ ([
    [
      'a hook that fails',
      "describe('s', () => { before(() => { throw new Error('planted'); }); it('one', () => {}); });\n",
      /planted/,
    ],
    ['a file that does not load', "throw new Error('planted');\n", /planted/],
    [
      'an error after the tests',
      "it('one', () => {});\nsetTimeout(() => { throw new Error('planted'); }, 50);\n",
      /planted/,
    ],
    [
      'a file that leaves early',
      "it('one', () => {});\nsetTimeout(() => process.exit(3), 50);\n",
      /failed with status 3/,
    ],
    [
      'a file that leaves early as if all were well',
      "it('one', async () => { process.exit(0); });\n",
      /The file has no tests/,
    ],
    ['a file without tests', 'console.log(1);\n', /The file has no tests/],
  ])) {
    it(`counts ${what} as a failure`, async () => {
      const { failed, output } = await resultOf(text);
      assert.ok(failed >= 1);
      assert.match(output, pattern);
    });
  }

  it('keeps the reason of a skip', async () => {
    const { passed, failed, skipped } = await resultOf(
      "describe('s', { skip: 'no machine' }, () => { it('one', () => {}); });\nit('two', { skip: 'no disk' }, () => {});\nit('three', { todo: true }, () => {});\nit('four', () => {});\n",
    );
    assert.deepEqual([passed, failed], [1, 0]);
    assert.match(skipped.join('\n'), /no machine[\s\S]*two: no disk[\s\S]*three: no reason given/);
  });
});

describe('finding tests', () => {
  const root = project({
    'dist/test/core/a.test.js': '',
    'dist/test/core/a.test.js.map': '',
    'dist/test/core/helper.js': '',
    'dist/test/host/b.test.js': '',
    'test/scripts/c.test.mjs': '',
  });

  it('takes every test file, portable ones apart', () => {
    assert.deepEqual(allTests(root), [
      'dist/test/core/a.test.js',
      'dist/test/host/b.test.js',
      'test/scripts/c.test.mjs',
    ]);
    assert.deepEqual(portableTests(root), ['dist/test/core/a.test.js']);
  });
});

describe('counting a JUnit report', () => {
  it('takes cases, not the suites that Deno lists beside them', () => {
    const xml = `
      <testcase name="outer" classname="a"><failure message="1 test step failed">..</failure></testcase>
      <testcase name="outer &gt; a" classname="b" time="0.001"></testcase>
      <testcase name="outer &gt; b" classname="b"><failure message="x">y</failure></testcase>
      <testcase name="outer &gt; c" classname="b"><skipped/></testcase>`;
    assert.deepEqual(countCases(xml), { passed: 1, failed: 1, skipped: ['outer &gt; c'] });
  });

  it('takes those of Bun, and finds none in nothing', () => {
    assert.deepEqual(countCases('<testcase name="a" time="0" /><testcase name="b"><skipped /></testcase>'), {
      passed: 1,
      failed: 0,
      skipped: ['b'],
    });
    assert.deepEqual(countCases(''), { passed: 0, failed: 0, skipped: [] });
  });
});
