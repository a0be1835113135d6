import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { wantsColor } from '../../src/cli/action.ts';
import { CliError } from '../../src/cli/cli-error.ts';
import { describeError } from '../../src/cli/describe-error.ts';
import { OutputClosed } from '../../src/cli/output.ts';
import { cli, MAIN } from './run-cli.ts';
import { Targets } from './targets.ts';

const VERBS = ['demo', 'vhost-user-blk', 'info', 'ranges', 'read', 'walk', 'pt'];

describe('manners of the command', () => {
  let targets: Targets;
  before(() => {
    targets = new Targets();
  });
  after(() => {
    targets.remove();
  });

  it('C: every verb has help with an example', () => {
    const top = cli(['--help']);
    assert.equal(top.status, 0);
    for (const verb of VERBS) {
      assert.match(top.stdout, new RegExp(`^  ${verb}\\b`, 'm'));
      const help = cli([verb, '--help']);
      assert.equal(help.status, 0, verb);
      assert.match(help.stdout, new RegExp(`^  (?:\\$ )?guestmem ${verb}`, 'm'), verb);
      assert.match(help.stdout, /--debug/, verb);
      if (verb !== 'vhost-user-blk') assert.match(help.stdout, /--json/, verb);
    }
    assert.match(cli(['--version']).stdout, /^\d+\.\d+\.\d+/);
  });

  it('C: a command line that makes no sense is one line and status 2', () => {
    const lines: readonly (readonly string[])[] = [
      ['frobnicate'],
      ['info'],
      ['info', 'a', 'b'],
      ['info', 'a', '--frob'],
      ['info', ''],
      ['info', 'raw:'],
      ['info', 'qemu:'],
      ['info', 'x', '--format', 'qcow9'],
      ['info', 'qemu:x', '--format', 'raw'],
      ['read', 'x'],
      ['read', 'x', 'junk'],
      ['read', 'x', '-5'],
      ['read', 'x', '0x'],
      ['read', 'x', '0', 'lots'],
      ['read', 'x', '0', '-1'],
      ['read', 'x', '0x20000000000000'],
      ['walk', 'x', '0x10000000000000000'],
      ['walk', 'x', 'ffff888000000000'],
      ['pt', 'x', '--range', '5'],
      ['pt', 'x', '--size', 'big'],
      ['demo', '--size', '1'],
      ['demo', '--size', '100000K'],
      ['demo', '--size', 'all'],
    ];
    for (const line of lines) {
      const { status, stdout, stderr } = cli(line);
      assert.equal(status, 2, `${line.join(' ')}: ${stderr}`);
      assert.equal(stdout, '', line.join(' '));
      assert.match(stderr, /^guestmem: [A-Z][^\n]+[^.\n]\n$/, line.join(' '));
    }
    assert.equal(cli([]).status, 2);
  });

  it('C: an input that cannot be used is one line and status 3', () => {
    const folder = join(targets.dir, 'folder');
    mkdirSync(folder);
    const junk = targets.write(
      'junk',
      Uint8Array.from({ length: 5000 }, (_, i) => (i * 17) & 0xff),
    );
    const headers = targets.write('headers.elf', Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1));
    const kdump = targets.write('kdump', new TextEncoder().encode(`KDUMP   ${'\0'.repeat(5000)}`));
    const missing = join(targets.dir, 'missing');
    const verbs = [['info'], ['ranges'], ['pt'], ['read', '0'], ['walk', '0']];
    const unusable = [
      missing,
      folder,
      junk,
      headers,
      kdump,
      targets.empty,
      `raw:${targets.empty}`,
      `raw:${missing}`,
      `raw:${folder}`,
      `qemu:${missing}`,
      `qemu:${junk}`,
      `qemu:${folder}`,
      '/dev/null',
    ];
    // The way in is one and the same for all verbs, so each target goes through another of them.
    unusable.forEach((target, index) => {
      const [verb = '', ...rest] = verbs[index % verbs.length] ?? [];
      const { status, stdout, stderr } = cli([verb, target, ...rest]);
      assert.equal(status, 3, `${verb} ${target}: ${stderr}`);
      assert.equal(stdout, '', target);
      assert.match(stderr, /^guestmem: [A-Z][^\n]+[^.\n]\n$/, target);
      assert.doesNotMatch(stderr, /defect of guestmem/, target);
    });
  });

  it('I4: a socket that is no QMP server is one line and status 3', async () => {
    const path = join(targets.dir, 'other.sock');
    const server = createServer((socket) => socket.end('220 mail.example.org ESMTP\r\n'));
    server.listen(path);
    await once(server, 'listening');
    try {
      const child = spawn(process.execPath, [MAIN, 'info', `qemu:${path}`], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      const [status]: unknown[] = await once(child, 'close');
      assert.equal(status, 3, stderr);
      assert.match(stderr, /^guestmem: [A-Z][^\n]+\n$/);
    } finally {
      server.close();
    }
  });

  it('C: --debug shows where an error came from, and only then', () => {
    const missing = join(targets.dir, 'missing');
    assert.doesNotMatch(cli(['info', missing]).stderr, /\n\s+at /);
    const debug = cli(['info', missing, '--debug']);
    assert.equal(debug.status, 3);
    assert.match(debug.stderr, /\n\s+at /);
    assert.match(cli(['--debug', 'info', missing]).stderr, /\n\s+at /);
  });

  it('C: a reader that goes away is no error', () => {
    const script = '"$1" "$2" read "$3" 0 4M -a | head -n 1; echo "$PIPESTATUS"';
    const args = ['-c', script, 'bash', process.execPath, MAIN, `raw:${targets.raw}`];
    const { stdout, stderr } = spawnSync('bash', args, { encoding: 'utf8', timeout: 180_000 });
    assert.equal(stderr, '');
    assert.match(stdout, /^0{16} {2}00 .*\n0\n$/);
  });

  it('C: an output that is full is one line and status 3', () => {
    const script = 'exec "$1" "$2" read "$3" 0 1M -a > /dev/full';
    const args = ['-c', script, 'sh', process.execPath, MAIN, `raw:${targets.raw}`];
    const { status, stderr } = spawnSync('sh', args, { encoding: 'utf8', timeout: 180_000 });
    assert.equal(status, 3);
    assert.match(stderr, /^guestmem: Cannot write the output: [^\n]*no space left[^\n]*\n$/i);
  });

  it('C: no colours in a pipe, and none where the person asked for none', () => {
    assert.ok(!cli(['pt', targets.core], { FORCE_COLOR: '1' }).stdout.includes('\u001b'));
    assert.equal(wantsColor(true, {}), true);
    assert.equal(wantsColor(true, { NO_COLOR: '1' }), false);
    assert.equal(wantsColor(true, { NO_COLOR: '' }), true);
    assert.equal(wantsColor(true, { TERM: 'dumb' }), false);
    assert.equal(wantsColor(undefined, {}), false);
  });

  it('C: whatever is thrown becomes one line and a status of SPEC C', () => {
    const denied = Object.assign(new Error('EACCES: permission denied, open'), {
      code: 'EACCES',
      syscall: 'open',
      path: '/secret',
    });
    assert.deepEqual(describeError(denied), { status: 3, line: 'Cannot open /secret: permission denied' });
    assert.deepEqual(describeError(new OutputClosed('gone')), { status: 0, line: undefined });
    assert.deepEqual(describeError(new CliError('usage', 'Cannot\n  do')), { status: 2, line: 'Cannot do' });
    assert.equal(describeError(new CliError('input', 'No')).status, 3);
    const defect = describeError(new TypeError('x is not a function'));
    assert.equal(defect.status, 3);
    assert.match(defect.line ?? '', /defect of guestmem.*--debug/);
    assert.deepEqual(describeError('text'), { status: 3, line: 'text' });
  });
});
