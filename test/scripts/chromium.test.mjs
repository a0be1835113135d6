import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startChromium, whyNoChromium } from '../../scripts/lib/chromium.mjs';
import { serveTests } from '../../scripts/lib/chromium-server.mjs';
import { IN_CI } from '../../scripts/lib/paths.mjs';
import { runTestFile } from '../../scripts/lib/test-file.mjs';
import { planted, project } from './project.mjs';

const HEAD = `import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
`;

const WORKER = `import { parentPort, workerData } from 'node:worker_threads';
import { doubled } from './doubled.js';
if (workerData.fail) throw new TypeError('planted');
parentPort.on('message', async (text) => {
  if (text === 'reject') throw new RangeError('planted later');
  Atomics.add(workerData.cells, 0, doubled(text.length));
  parentPort.postMessage('done');
});
`;

const WORKER_TEST = `import { Worker } from 'node:worker_threads';
const start = (workerData) => new Worker(new URL('./worker.js', import.meta.url), { workerData });
it('shares memory', async () => {
  const cells = new Int32Array(new SharedArrayBuffer(4));
  const worker = start({ cells });
  worker.postMessage('three');
  assert.equal(await new Promise((resolve) => worker.once('message', resolve)), 'done');
  assert.equal(cells[0], 10);
  await worker.terminate();
});
it('hears of what a Worker throws', async () => {
  const error = await new Promise((resolve) => start({ fail: true }).once('error', resolve));
  assert(error instanceof TypeError && error.message === 'planted');
});
it('hears of a rejection that nobody in the Worker heard', async () => {
  const worker = start({});
  worker.postMessage('reject');
  const error = await new Promise((resolve) => worker.once('error', resolve));
  assert(error instanceof RangeError && error.message === 'planted later');
});
`;

/** Files that pass, with how many tests and skips each has; Node counts the same. @type {readonly [string, string, number, number][]} */
const GOOD = [
  [
    'suites',
    "describe('s', () => { it('one', () => {}); describe('t', () => { it('two', async () => {}); }); });\nit('three', () => {});\n",
    3,
    0,
  ],
  [
    'hooks',
    `const said = [];
describe('outer', () => {
  before(() => said.push('b')); after(() => said.push('a'));
  beforeEach(async () => said.push('1')); afterEach(() => said.push('4'));
  describe('inner', () => {
    beforeEach(() => said.push('2')); afterEach(() => said.push('3'));
    it('one', () => said.push('x')); it('two', () => said.push('y'));
  });
});
describe('then', () => { it('has seen all', () => assert.equal(said.filter((s) => s > '9').join(''), 'bxya')); });
`,
    3,
    0,
  ],
  [
    'skips',
    "describe('s', { skip: 'no machine' }, () => { it('one', () => {}); });\nit('two', { skip: true }, () => {});\nit('three', () => {});\n",
    1,
    2,
  ],
  [
    'packages',
    "import fc from 'fast-check';\nimport { own } from 'planted/below';\nit('has', () => assert(fc && own));\n",
    1,
    0,
  ],
  ['workers', WORKER_TEST, 3, 0],
];

/** Files that must fail, and what there is to read then. @type {readonly [string, string, RegExp][]} */
const BAD = [
  [
    'a test that fails',
    "describe('s', () => { it('one', () => {}); it('two', () => assert.equal(1, 2)); });\n",
    /FAILED s > two[\s\S]*1 !== 2/,
  ],
  [
    'a test that rejects',
    "it('one', async () => assert.rejects(async () => 1));\n",
    /FAILED one[\s\S]*Nothing was thrown/,
  ],
  [
    'a hook that fails',
    "describe('s', () => { before(() => { throw new Error('planted'); }); it('one', () => {}); });\n",
    /FAILED s\b[\s\S]*planted/,
  ],
  [
    'a hook that fails after a test',
    "describe('s', () => { afterEach(async () => { throw new Error('planted'); }); it('one', () => {}); });\n",
    /FAILED s > one[\s\S]*planted/,
  ],
  [
    'a suite that fails',
    "describe('s', () => { it('one', () => {}); throw new Error('planted'); });\n",
    /FAILED s\b[\s\S]*planted/,
  ],
  [
    'a file that does not load',
    "it('one', () => {});\nthrow new Error('planted');\n",
    /does not load[\s\S]*planted/,
  ],
  ['a module that is not there', "import './none.js';\nit('one', () => {});\n", /404[\s\S]*none\.js/],
  ['a module of Node', "import 'node:fs';\nit('one', () => {});\n", /A page has no node:fs/],
  [
    'an error beside the tests',
    "it('one', () => { setTimeout(() => { throw new Error('planted'); }); });\n",
    /planted/,
  ],
  [
    'a rejection beside the tests',
    "it('one', () => { Promise.reject(new Error('planted')); });\n",
    /planted/,
  ],
  [
    'a Worker that fails unheard',
    `${WORKER_TEST}it('one', () => { start({ fail: true }); return new Promise((heard) => addEventListener('error', heard)); });\n`,
    /planted/,
  ],
  ['an option that is not known', "it('one', { todo: true }, () => {});\n", /no option todo/],
  ['a test that wants an argument', "it('one', (t) => {});\n", /wants an argument/],
  ['a test in a test', "it('one', () => { it('two', () => {}); });\n", /came after the tests had begun/],
  ['a file without tests', 'globalThis.nothing = assert;\n', /The file has no tests/],
  ['a page that waits for ever', "it('one', () => new Promise(() => {}));\n", /Stopped after 2 s/],
  ['a page that is busy for ever', "it('one', () => { for (;;); });\n", /Stopped after 2 s/],
];

describe('running a test file in Chromium', { skip: IN_CI ? false : (whyNoChromium() ?? false) }, () => {
  /** @param {string} name */
  const fileOf = (name) => `dist/test/core/${name.replaceAll(' ', '-')}.test.js`;
  const root = project({
    'package.json': '{ "name": "planted", "type": "module", "exports": { "./below": "./dist/own.js" } }',
    'dist/own.js': 'export const own = true;\n',
    'dist/test/core/doubled.js': 'export const doubled = (value) => value * 2;\n',
    'dist/test/core/worker.js': WORKER,
    ...Object.fromEntries([...GOOD, ...BAD].map(([name, text]) => [fileOf(name), `${HEAD}${text}`])),
  });
  /** @type {import('../../scripts/lib/chromium.mjs').Chromium} */
  let chromium;
  before(async () => {
    chromium = await startChromium(root);
  });
  after(async () => {
    await chromium.close();
  });

  for (const [name, , passed, skipped] of GOOD) {
    it(`counts ${name} as Node does`, async () => {
      const counts = (/** @type {import('../../scripts/lib/test-file.mjs').Result} */ result) => [
        result.output,
        result.passed,
        result.failed,
        result.skipped.length,
      ];
      const options = { timeoutMs: 60_000, root };
      const wanted = ['', passed, 0, skipped];
      assert.deepEqual(counts(await runTestFile('node', process.execPath, fileOf(name), options)), wanted);
      assert.deepEqual(counts(await chromium.runTestFile(fileOf(name), options)), wanted);
    });
  }

  for (const [name, , pattern] of BAD) {
    it(`counts ${name} as a failure`, async () => {
      const timeoutMs = /for ever/.test(name) ? 2000 : 60_000;
      const { failed, output } = await chromium.runTestFile(fileOf(name), { timeoutMs });
      assert(failed >= 1);
      assert.match(output, pattern);
    });
  }

  it('goes on after a page that was stopped', async () => {
    const { passed, failed } = await chromium.runTestFile(fileOf('suites'), { timeoutMs: 60_000 });
    assert.deepEqual([passed, failed], [3, 0]);
  });
});

describe('the server of the pages', () => {
  const root = project({
    'package.json': '{ "name": "planted", "type": "module" }',
    'dist/a.js':
      "import 'node:test';\nexport { b } from './b.js';\nexport const text = \"from 'node:fs'\";\n",
    'dist/odd.js': "import 'planted/none';\n",
    'secret.js': 'export const secret = 1;\n',
    'dist/secret.json': '1',
  });
  /** @type {Awaited<ReturnType<typeof serveTests>>} */
  let server;
  before(async () => {
    server = await serveTests(root);
  });
  after(async () => {
    await server.close();
  });

  it('lets a page share memory, and puts addresses in the place of names', async () => {
    const response = await fetch(`${server.origin}/dist/a.js`);
    assert.equal(response.headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.equal(response.headers.get('cross-origin-embedder-policy'), 'require-corp');
    assert.match(response.headers.get('content-type') ?? '', /^text\/javascript/);
    assert.equal(
      await response.text(),
      `import "/browser/node-test.mjs";\nexport { b } from './b.js';\nexport const text = "from 'node:fs'";\n`,
    );
  });

  it('has nothing but what a page needs', async () => {
    for (const [where, status] of /** @type {const} */ ([
      ['browser/page.html', 200],
      ['browser/none.mjs', 404],
      ['secret.js', 404],
      ['dist/../secret.js', 404],
      ['dist/%2e%2e/secret.js', 404],
      ['dist/..%2fsecret.js', 404],
      ['dist/secret.json', 404],
      ['dist', 404],
      ['', 404],
      ['dist/odd.js', 500],
    ])) {
      const response = await fetch(`${server.origin}/${where}`);
      assert.equal(response.status, status, where);
    }
  });
});

describe('without Chromium', () => {
  it('there is a reason to read', () => {
    assert.match(whyNoChromium(planted('/no', 'where/chromium')) ?? '', /install Debian's chromium/);
    assert.equal(whyNoChromium(process.execPath), undefined);
  });
});
