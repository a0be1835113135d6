import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fillBlock } from '../../src/cli/demo/fill-block.ts';
import { assertContains, cli, json, MAIN } from './run-cli.ts';

describe('guestmem demo', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'guestmem-demo-test-'));
  });
  after(() => {
    rmSync(dir, { recursive: true });
  });

  it('C: moves data both ways, plugs memory, and everything checks out', () => {
    const result = cli(['demo', '--json', '--size', '16M'], { TMPDIR: dir });
    assert.equal(result.status, 0, result.stderr);
    const report = json(result);
    assert.ok(typeof report === 'object' && report !== null);
    assert.ok('checks' in report && Array.isArray(report.checks) && report.checks.length === 6);
    assert.ok(report.checks.every(({ ok }: { ok: boolean }) => ok));
    assert.ok('written' in report && 'read' in report && 'plugged' in report && 'walk' in report);
    assertContains(report, {
      ok: true,
      written: { bytes: '0x1000000' },
      read: { bytes: '0x1000000' },
      plugged: { start: '0x200000000', end: '0x204000000' },
      walk: { gva: '0xffffc90040005120', pageSize: '0x1000', rights: 'rw-s', fault: null },
      requests: 258,
    });
    assert.deepEqual(readdirSync(dir), [], 'the disk file is gone');
  });

  it('C: prints a report with the map, the walk and a tick for every check', () => {
    const { status, stdout, stderr } = cli(['demo', '--size', '4M'], { TMPDIR: dir });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '', 'silent progress in a pipe');
    assert.match(stdout, /^ {2}0x0 +0xa0000 +0x100000 +0x4000000 +0x100000000 +0x104000000 +0x200000000$/m);
    assert.match(stdout, /^ {2}PML4E \[ 402\] @/m);
    assert.equal(stdout.match(/^✓ /gm)?.length, 6);
    assert.match(stdout, /^Everything checked out in \d+\.\d s$/m);
  });

  it('C: a signal ends it and leaves nothing behind, at the moment its folder appears and later', async () => {
    for (const pauseMs of [0, 0, 0, 0, 5, 50]) {
      const child = spawn(process.execPath, [MAIN, 'demo', '--size', '1G'], {
        env: { ...process.env, TMPDIR: dir },
        stdio: 'ignore',
      });
      const ended = once(child, 'close');
      // Without a pause between looks: what has to be hit is a fraction of a millisecond.
      for (const began = performance.now(); readdirSync(dir).length === 0; )
        assert.ok(performance.now() - began < 60_000, 'the demo makes no folder');
      await new Promise((go) => setTimeout(go, pauseMs));
      child.kill('SIGINT');
      const [status]: unknown[] = await ended;
      assert.equal(status, 130);
      assert.deepEqual(readdirSync(dir), []);
    }
  });

  it('C: no place for the disk is one line and status 3', () => {
    const nowhere = cli(['demo'], { TMPDIR: join(dir, 'missing') });
    assert.equal(nowhere.status, 3);
    assert.match(
      nowhere.stderr,
      /^guestmem: Cannot make the demo's disk in .*missing: no such file[^\n]*\n$/,
    );
    const tooBig = cli(['demo', '--size', '1T'], { TMPDIR: '/dev/shm' });
    assert.equal(tooBig.status, 3);
    assert.match(tooBig.stderr, /^guestmem: Cannot make the demo's disk of 1 TiB in [^\n]* left[^\n]*\n$/);
  });

  it('C: no block is like another, and none is all alike', () => {
    const seen = new Set<string>();
    const block = new Uint8Array(4096);
    for (let i = 0; i < 1000; i++) {
      fillBlock(block, i);
      seen.add(Buffer.from(block).toString('latin1'));
      assert.ok(new Set(block).size > 200);
    }
    assert.equal(seen.size, 1000);
  });
});
