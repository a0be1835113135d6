import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertContains, cli, json } from './run-cli.ts';
import { CR3, KERNEL, Targets, TEXT, TEXT_GVA } from './targets.ts';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

describe('guestmem on dumps and raw images', () => {
  let targets: Targets;
  before(() => {
    targets = new Targets();
  });
  after(() => {
    targets.remove();
  });

  describe('info', () => {
    it('C: prints the JSON of SPEC C', () => {
      const result = cli(['info', targets.core, '--json']);
      assert.equal(result.status, 0, result.stderr);
      const info = json(result);
      assert.ok(typeof info === 'object' && info !== null && 'reason' in info);
      assert.match(String(info.reason), /ELF core/);
      assert.deepEqual(
        { ...info, reason: '' },
        {
          format: 'elf-core',
          reason: '',
          ranges: [
            { start: '0x0', end: '0xa0000', kind: 'ram' },
            { start: '0x100000', end: '0x400000', kind: 'ram' },
          ],
          cpus: [
            {
              cr3: hex(CR3),
              cr4: '0x20',
              paging: 'x86-4level',
              source: 'QEMU note v1, long mode deduced from CS.L',
            },
          ],
        },
      );
    });

    it('C: says what it is and where each fact came from', () => {
      const { stdout, status } = cli(['info', targets.core]);
      assert.equal(status, 0);
      assert.match(stdout, /^format +elf-core: /m);
      assert.match(stdout, /^memory +3\.62 MiB ram in 2 ranges$/m);
      assert.match(stdout, /^cpu 0 +rip ffff800000000000 {2}cr3 00100000 {2}cr4 00000020 {2}x86-4level$/m);
      assert.match(stdout, /source: QEMU note v1, .*; .*CR4/);
    });

    it('I1: a raw image is raw only when it is named so', () => {
      const named = cli(['info', `raw:${targets.raw}`, '--json']);
      assert.equal(named.status, 0, named.stderr);
      assertContains(json(named), { format: 'raw', cpus: [] });
      assert.equal(cli(['info', '--format', 'raw', targets.raw]).status, 0);
      const unnamed = cli(['info', targets.raw]);
      assert.equal(unnamed.status, 3);
      assert.match(unnamed.stderr, /raw/);
      assert.equal(unnamed.stdout, '');
    });
  });

  describe('ranges', () => {
    it('C: prints the JSON of SPEC C, ends exclusive', () => {
      const result = cli(['ranges', targets.core, '--json']);
      assert.equal(result.status, 0, result.stderr);
      assert.deepEqual(json(result), [
        { start: '0x0', end: '0xa0000', kind: 'ram' },
        { start: '0x100000', end: '0x400000', kind: 'ram' },
      ]);
    });

    it('C: prints a table, ends inclusive', () => {
      const { stdout, status } = cli(['ranges', targets.core]);
      assert.equal(status, 0);
      const lines = stdout.split('\n');
      assert.match(lines[0] ?? '', /^start +end +size +kind +offset$/);
      assert.match(lines[1] ?? '', /^00000000 {2}0009ffff {2}640 KiB {2}ram {3}0x[0-9a-f]+$/);
      assert.match(lines[2] ?? '', /^00100000 {2}003fffff {4}3 MiB {2}ram {3}0x[0-9a-f]+$/);
    });

    it('I1, C: a truncated dump is shown as such, with one line and status 4', () => {
      const result = cli(['ranges', targets.truncated, '--json']);
      assert.equal(result.status, 4);
      assert.match(result.stderr, /^guestmem: 1 MiB of the target's memory is truncated: .*\n$/);
      assert.deepEqual(json(result), [
        { start: '0x0', end: '0xa0000', kind: 'ram' },
        { start: '0x100000', end: '0x300000', kind: 'ram' },
        { start: '0x300000', end: '0x400000', kind: 'truncated' },
      ]);
      assert.equal(cli(['info', targets.truncated]).status, 4);
    });
  });

  describe('read', () => {
    it('C: prints the JSON of SPEC C', () => {
      const result = cli(['read', targets.core, hex(0x3ff8), '8', '--json']);
      assert.equal(result.status, 0, result.stderr);
      assert.deepEqual(json(result), {
        address: '0x3ff8',
        length: '0x8',
        hex: Buffer.from(TEXT.slice(0, 8)).toString('hex'),
        holes: [],
      });
    });

    it('T9: reads virtual memory across a page border', () => {
      const result = cli(['read', targets.core, hex(TEXT_GVA), String(TEXT.length), '-v', '--json']);
      assert.equal(result.status, 0, result.stderr);
      assertContains(json(result), {
        address: hex(TEXT_GVA),
        hex: Buffer.from(TEXT).toString('hex'),
      });
      const text = cli(['read', targets.core, hex(TEXT_GVA), '0x17', '-v']);
      assert.match(
        text.stdout,
        /^paging x86-4level; cr3 0x100000, cr0, cr4 from cpu 0 \(QEMU note v1, .*\); CR0.PG/,
      );
      assert.match(text.stdout, /\|a text across tw\|/);
    });

    it('C: what is not there is ??, listed as a hole, and status 4', () => {
      const result = cli(['read', targets.core, '0x9fff8', '16', '--json']);
      assert.equal(result.status, 4);
      assert.deepEqual(json(result), {
        address: '0x9fff8',
        length: '0x10',
        hex: `${'00'.repeat(8)}${'??'.repeat(8)}`,
        holes: [{ start: '0xa0000', end: '0xa0008' }],
      });
      const text = cli(['read', targets.core, '0x9fff8', '16']);
      assert.equal(text.status, 4);
      assert.match(text.stdout, /00 00 {2}\?\? \?\?.*\|\.{16}\| {2}not RAM$/m);
    });

    it('I1: truncated and not RAM stay two things on the screen', () => {
      const { stdout, stderr, status } = cli(['read', targets.truncated, '0x2ffff0', '0x100020']);
      assert.equal(status, 4);
      assert.match(stdout, /^0000000000300000 .*\?\?.* truncated$/m);
      assert.match(stdout, /^0000000000400000 .*\?\?.* not RAM$/m);
      assert.match(stderr, /^guestmem: 1 MiB of the target's memory is truncated: .*\n$/);
    });

    it('C: nothing there at all is status 1', () => {
      assert.equal(cli(['read', targets.core, '0x100000000', '16']).status, 1);
      assert.equal(cli(['read', targets.core, '0x700000', '16', '-v']).status, 1);
    });

    it('C: an absurd length is streamed, not allocated', () => {
      const env = { NODE_OPTIONS: '--max-old-space-size=64' };
      const result = cli(['read', `raw:${targets.raw}`, '0x3ffff0', '1000T'], env);
      assert.equal(result.status, 4, result.stderr);
      assert.ok(result.stdout.split('\n').length < 10);
      const holes = cli(['read', targets.core, '0x600000', '100T', '-v'], env);
      assert.equal(holes.status, 1, holes.stderr);
      assert.match(holes.stdout, /not mapped$/m);
      assert.match(holes.stdout, /its page table at 0x8000000000 is not in the target$/m);
    });

    it('C: a length past the last address is a usage error', () => {
      assert.equal(cli(['read', targets.core, '0', '16384T']).status, 2);
      assert.equal(cli(['read', targets.core, '0xffffffffffffffff', '2', '-v']).status, 2);
      assert.equal(cli(['read', targets.core, '0xffffffffffffffff', '1', '-v']).status, 1);
    });
  });

  describe('walk', () => {
    it('T2: prints the JSON of SPEC C for a page that is mapped', () => {
      const result = cli(['walk', targets.core, '0x400123', '--json']);
      assert.equal(result.status, 0, result.stderr);
      const walk = json(result);
      assert.ok(typeof walk === 'object' && walk !== null && 'levels' in walk && Array.isArray(walk.levels));
      assert.deepEqual(
        { ...walk, levels: [] },
        { gva: '0x400123', gpa: '0x3123', pageSize: '0x1000', rights: 'r-xu', levels: [], fault: null },
      );
      assert.deepEqual(
        walk.levels.map(({ level }: { level: number }) => level),
        [4, 3, 2, 1],
      );
      assert.deepEqual(Object.keys(walk.levels[0]), ['level', 'entryAddress', 'entry']);
      assert.equal(walk.levels[0].entryAddress, hex(CR3));
    });

    it('T2: prints every level, the registers, and the page', () => {
      const result = cli(['walk', targets.core, hex(KERNEL + 0x12_3456n)]);
      assert.equal(result.status, 0, result.stderr);
      const lines = result.stdout.trimEnd().split('\n');
      assert.equal(lines.length, 6);
      assert.match(lines[0] ?? '', /^gva +ffff800000123456$/);
      assert.match(lines[1] ?? '', /^paging x86-4level; .*QEMU note v1/);
      assert.match(lines[2] ?? '', /^PML4E \[ 256\] @000000100800 = [0-9a-f]{16} {2}P W/);
      assert.match(lines[4] ?? '', /^PDE .* PS/);
      assert.match(lines[5] ?? '', /^gpa +000000123456 {2}2 MiB page {2}rw-s$/);
      assert.equal(cli(['vtop', targets.core, hex(KERNEL)]).status, 0);
    });

    it('T2: not mapped in the guest is status 1 and names level and entry', () => {
      const result = cli(['walk', targets.core, '0x700000', '--json']);
      assert.equal(result.status, 1);
      const walk = json(result);
      assert.ok(typeof walk === 'object' && walk !== null && 'fault' in walk);
      assertContains(walk, {
        gpa: null,
        fault: { kind: 'page-fault', reason: 'not-present', errorCode: '0x0' },
      });
      const text = cli(['walk', targets.core, '0x700000']);
      assert.match(text.stdout, /the PTE at 0x106800 is not present/);
      assert.match(text.stdout, /Absent in the guest/);
    });

    it('T2: a table that is not in the dump is status 4, and is not called absent in the guest', () => {
      const result = cli(['walk', targets.core, '0x8000000000', '--json']);
      assert.equal(result.status, 4);
      assertContains(json(result), {
        fault: { kind: 'table-unreadable', level: 3, entryAddress: '0x8000000000' },
      });
      const text = cli(['walk', targets.core, '0x8000000000']);
      assert.match(text.stdout, /Absent in the target/);
      assert.doesNotMatch(text.stdout, /Absent in the guest/);
    });

    it('T2: what is not canonical is a fault without levels', () => {
      const result = cli(['walk', targets.core, '0x800000000000', '--json']);
      assert.equal(result.status, 1);
      assertContains(json(result), { levels: [], fault: { kind: 'not-canonical', errorCode: '0x0' } });
    });

    it('T3: the access asked for decides', () => {
      const readOnly = cli(['walk', targets.core, '0x400000', '--access', 'write']);
      assert.equal(readOnly.status, 1);
      assert.match(readOnly.stdout, /^Page fault: .*error code 0x3/m);
      assert.doesNotMatch(readOnly.stdout, /Absent/);
      assert.equal(cli(['walk', targets.core, '0x500000', '--access', 'write', '--user']).status, 0);
      assert.equal(cli(['walk', targets.core, hex(KERNEL), '--user']).status, 1);
      assert.equal(cli(['walk', targets.core, '0x400000', '--access', 'sniff']).status, 2);
    });

    it('C: says when the page it leads to is not in the target', () => {
      const result = cli(['walk', targets.core, '0x600000']);
      assert.equal(result.status, 0);
      assert.match(result.stdout, /Cannot read at 0x100000000 .*no memory at that address/);
    });

    it('C: registers come from where they were said to come from', () => {
      const raw = `raw:${targets.raw}`;
      assert.equal(cli(['walk', raw, '0x400000']).status, 2);
      const assumed = cli(['walk', raw, '0x400000', '--cr3', hex(CR3)]);
      assert.equal(assumed.status, 0, assumed.stderr);
      assert.match(assumed.stdout, /^paging x86-4level; cr3 0x100000 from --cr3; assumed/m);
      const named = cli(['walk', raw, '0x400000', '--reg', `cr3=${CR3}`, '--paging', 'x86-4level']);
      assert.equal(named.status, 0, named.stderr);
      assert.match(named.stdout, /^paging x86-4level; cr3 0x100000 from --reg; from --paging$/m);
      const five = cli(['walk', raw, '0x400000', '--cr3', hex(CR3), '--reg', 'cr4=0x1020']);
      assert.match(five.stdout, /^paging x86-5level; /m);
      const off = cli(['walk', raw, '0x400000', '--paging', 'off', '--json']);
      assert.equal(off.status, 0);
      assertContains(json(off), { gpa: '0x400000', levels: [], fault: null });
      assert.equal(cli(['walk', raw, '0', '--cr3', '0', '--paging', 'sv39']).status, 2);
      assert.equal(cli(['walk', raw, '0', '--reg', 'ttbr0=0']).status, 2);
      assert.equal(cli(['walk', targets.core, '0', '--cpu', '1']).status, 2);
      assert.equal(cli(['walk', targets.core, '0x400000', '--cpu', '0']).status, 0);
    });
  });

  describe('pt', () => {
    const all = [
      { gva: '0x400000', gpa: '0x3000', size: '0x1000', pageSize: '0x1000', rights: 'r-xu' },
      { gva: '0x401000', gpa: '0x8000', size: '0x1000', pageSize: '0x1000', rights: 'r-xu' },
      { gva: '0x500000', gpa: '0x5000', size: '0x1000', pageSize: '0x1000', rights: 'rwxu' },
      { gva: '0x600000', gpa: '0x100000000', size: '0x1000', pageSize: '0x1000', rights: 'r--u' },
      { gva: hex(KERNEL), gpa: '0x0', size: '0x200000', pageSize: '0x200000', rights: 'rw-s' },
    ];

    it('T6, C: prints the JSON of SPEC C, and status 4 for the table that is missing', () => {
      const result = cli(['pt', targets.core, '--json']);
      assert.deepEqual(json(result), all);
      assert.equal(result.status, 4);
      assert.match(result.stderr, /1 table could not be read/);
    });

    it('T6: filters compose', () => {
      const listed = (...args: string[]): unknown => json(cli(['pt', targets.core, '--json', ...args]));
      assert.deepEqual(listed('--user'), all.slice(0, 4));
      assert.deepEqual(listed('--supervisor'), all.slice(4));
      assert.deepEqual(listed('--wx'), all.slice(2, 3));
      assert.deepEqual(listed('--size', '2M'), all.slice(4));
      assert.deepEqual(listed('--user', '--size', '2M'), []);
      assert.deepEqual(listed('--range', '0x401000-0x501000'), all.slice(1, 3));
      assert.deepEqual(listed('--range', '0x400000+4K'), all.slice(0, 1));
      assert.equal(cli(['pt', targets.core, '--user', '--supervisor']).status, 2);
    });

    it('T10, C: --maps lists what maps physical pages, and composes with the filters', () => {
      const listed = (...args: string[]): unknown => json(cli(['pt', targets.core, '--json', ...args]));
      const kernel = (gva: bigint, gpa: string, size: string): object => ({
        gva: hex(gva),
        gpa,
        size,
        pageSize: '0x200000',
        rights: 'rw-s',
      });
      assert.deepEqual(listed('--maps', '0x5123'), [all[2], kernel(KERNEL + 0x5000n, '0x5000', '0x1000')]);
      assert.deepEqual(listed('--maps', '0x2000+8K'), [all[0], kernel(KERNEL + 0x2000n, '0x2000', '0x2000')]);
      assert.deepEqual(listed('--maps', '0x5000', '--user'), all.slice(2, 3));
      assert.deepEqual(listed('--maps', '4294967296'), all.slice(3, 4));
      assert.deepEqual(listed('--maps', '0x5000', '--range', '0x500000+4K'), all.slice(2, 3));
      const partly = cli(['pt', targets.core, '--maps', '0x5000']);
      assert.equal(partly.status, 4, 'the table that is missing may map it as well');
      assert.match(partly.stdout, /rwxu .*W\+X\n/);
      const none = cli(['pt', targets.core, '--maps', '0x300000', '--range', '0-0x10000000']);
      assert.equal(none.status, 1);
      assert.match(none.stderr, /^guestmem: Nothing is mapped there\n$/);
      for (const text of [
        '5000h',
        '-1',
        '0x5000+0',
        '0x5000+1+1',
        '0x1fffffffffffff+2',
        '0x20000000000000',
      ]) {
        assert.equal(cli(['pt', targets.core, `--maps=${text}`]).status, 2, text);
      }
    });

    it('C: status 0 where all could be read, 1 where nothing is mapped', () => {
      assert.equal(cli(['pt', targets.core, '--range', '0x400000+1M']).status, 0);
      const none = cli(['pt', targets.core, '--range', '0x10000000+1M']);
      assert.equal(none.status, 1);
      assert.match(none.stderr, /^guestmem: Nothing is mapped there\n$/);
    });

    it('C: prints a table that names mode and registers, and marks W+X', () => {
      const { stdout } = cli(['pt', targets.core]);
      const lines = stdout.trimEnd().split('\n');
      assert.match(lines[0] ?? '', /^paging x86-4level; .*QEMU note v1/);
      assert.match(
        lines[2] ?? '',
        /^0000000000400000 {2}0000000000400fff {7}4 KiB {2}r-xu {2}000000003000 +4K$/,
      );
      assert.match(lines[4] ?? '', /rwxu .*W\+X$/);
      assert.match(
        stdout,
        /^0000008000000000 .*\?\?\?\? {2}the table at 0x8000000000 is not in the target$/m,
      );
      assert.equal(lines.length, 8);
    });
  });
});
