import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../src', import.meta.url));

/** Runs a module in a process of its own; what it prints is JSON. */
function run(host: string, body: string): unknown {
  const script = `
    const { EventFd, EventLoopPoller, Memfd } = await import(${JSON.stringify(host)});
    const attempt = (f) => { try { f(); return 'done'; } catch ({ name, code, message }) { return { name, code, message }; } };
    ${body}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

describe('EventLoopPoller, in a process of its own', () => {
  it('H1: what a callback throws is an uncaught exception, as of any callback of the event loop', () => {
    const result = run(
      join(source, 'host', 'index.js'),
      `const poller = new EventLoopPoller();
       const event = EventFd.create();
       process.once('uncaughtException', ({ message }) => { poller.close(); console.log(JSON.stringify(message)); });
       poller.add(event.fd, { readable: true }, () => { event.consume(); throw new Error('planted'); });
       event.signal();`,
    );
    assert.equal(result, 'planted');
  });

  it('H1: an open watch keeps the process running, a closed one does not', () => {
    const result = run(
      join(source, 'host', 'index.js'),
      `const poller = new EventLoopPoller();
       const event = EventFd.create();
       const watch = poller.add(event.fd, { readable: true }, () => { watch.close(); console.log('"kicked"'); });
       setTimeout(() => event.signal(), 50).unref();`,
    );
    assert.equal(result, 'kicked');
  });
});

describe('the host room elsewhere', () => {
  let folder = '';
  before(() => {
    // A copy with no node_modules above it: a machine where koffi is not installed.
    folder = mkdtempSync(join(tmpdir(), 'guestmem-bare-'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    for (const room of ['core', 'host']) cpSync(join(source, room), join(folder, room), { recursive: true });
  });
  after(() => rmSync(folder, { recursive: true }));

  const here = join(source, 'host', 'index.js');

  it('H3: without koffi it imports, and says on use what to install', () => {
    const result = run(
      join(folder, 'host', 'index.js'),
      `console.log(JSON.stringify(attempt(() => Memfd.create(1))));`,
    );
    assert.deepEqual(result, {
      name: 'HostError',
      code: 'no-ffi',
      message: 'Cannot load koffi, which guestmem/host needs: install it with "npm install koffi@3.3.4"',
    });
  });

  it('H3: importing it loads nothing', () => {
    const result = run(
      here,
      `const loaded = () => process.report.getReport().sharedObjects.some((path) => path.includes('koffi'));
       const before = loaded(); Memfd.create(1).close(); console.log(JSON.stringify([before, loaded()]));`,
    );
    assert.deepEqual(result, [false, true]);
  });

  it('H3: on another system every use is a clear error', () => {
    const result = run(
      here,
      `Object.defineProperty(process, 'platform', { value: 'darwin' }); console.log(JSON.stringify(attempt(() => Memfd.create(1))));`,
    );
    assert(typeof result === 'object' && result !== null && 'code' in result && 'message' in result);
    assert.equal(result.code, 'unsupported');
    assert.match(String(result.message), /^Cannot use guestmem\/host on darwin /);
  });

  it('H3: on Bun the event loop poller refuses, where koffi would abort the process', () => {
    const result = run(
      here,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: '1.4.4' } });
       console.log(JSON.stringify(attempt(() => new EventLoopPoller().add(0, { readable: true }, () => {}))));`,
    );
    assert(typeof result === 'object' && result !== null && 'code' in result);
    assert.equal(result.code, 'unsupported');
  });
});
