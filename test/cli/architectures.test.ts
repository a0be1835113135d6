import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  createRoot,
  EPT_4LEVEL,
  eptFormat,
  FORMATS,
  FrameRange,
  GuestTables,
  type MapRequest,
  map,
  type PagingFormat,
  RISCV_SV32,
  RISCV_SV39,
  RISCV_SV39X4,
} from '../../src/paging/index.ts';
import { cli, json } from './run-cli.ts';

const SIZE = 0x40_0000;
const ROOT = 0x10_0000;
const TEXT = 'guest text';

describe('the command, on tables of other architectures', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'guestmem-arch-'));
  });
  after(() => {
    rmSync(dir, { recursive: true });
  });

  /** A raw file with tables that map two pages at `gva`, the first with {@link TEXT} in it. */
  function target(name: string, format: PagingFormat, gva: bigint, user: boolean, unit = 0x4000): string {
    const ram = new Uint8Array(SIZE);
    const memory = GuestMemory.from(bytes(ram));
    const tables = new GuestTables(memory, { frames: new FrameRange(ROOT, 0x10_0000) });
    createRoot(tables, format);
    map(tables, { format, gva, gpa: unit, length: unit, execute: true, user });
    map(tables, {
      format,
      gva: gva + BigInt(unit),
      gpa: 4 * unit,
      length: unit,
      write: true,
      execute: true,
      user,
    });
    memory.writeAt(unit + 0x10, new TextEncoder().encode(TEXT));
    const path = join(dir, name);
    writeFileSync(path, ram);
    return `raw:${path}`;
  }

  interface Case {
    readonly title: string;
    readonly format: PagingFormat;
    readonly gva: bigint;
    readonly registers: readonly string[];
    readonly mode: RegExp;
    readonly flags: RegExp;
  }

  const kernel = aarch64Stage1Format({ granule: 16384, inputBits: 47, half: 'upper' });
  const cases: readonly Case[] = [
    {
      title: 'RISC-V Sv39',
      format: RISCV_SV39,
      gva: 0xffff_ffc0_1234_4000n,
      registers: [`satp=0x${((8n << 60n) | BigInt(ROOT / 4096)).toString(16)}`],
      mode: /^paging riscv-sv39; satp 0x8000000000000100 from --reg; satp.MODE is 8$/m,
      flags: /V R X/,
    },
    {
      title: 'RISC-V Sv32',
      format: RISCV_SV32,
      gva: 0xc123_4000n,
      registers: [`satp=0x${((1n << 31n) | BigInt(ROOT / 4096)).toString(16)}`],
      mode: /^paging riscv-sv32; /m,
      flags: /V R X/,
    },
    {
      title: "RISC-V's G-stage",
      format: RISCV_SV39X4,
      gva: 0x100_1234_4000n,
      registers: [`hgatp=0x${((8n << 60n) | BigInt(ROOT / 4096)).toString(16)}`],
      mode: /^paging riscv-sv39x4; /m,
      flags: /V R X U/,
    },
    {
      title: 'AArch64 with a granule of 16 KiB, upper half',
      format: kernel,
      gva: 0xffff_8000_1234_4000n,
      // T1SZ 17, TG1 16 KiB, IPS 40 bits; EPD0.
      registers: [`TTBR1_EL1=0x${ROOT.toString(16)}`, 'TCR_EL1=0x240110080'],
      mode: /^paging aarch64-16k-47bit-upper; ttbr1 0x100000, tcr from --reg; /m,
      flags: /V T/,
    },
    {
      title: 'EPT',
      format: EPT_4LEVEL,
      gva: 0x12_3456_4000n,
      registers: [`eptp=0x${(ROOT | 0x1e).toString(16)}`],
      mode: /^paging ept-4level; eptp 0x10001e from --reg; EPTP bits 5:3 say 4 levels$/m,
      flags: /R X/,
    },
  ];

  for (const { title, format, gva, registers, mode, flags } of cases) {
    it(`C: walk, pt and read -v: ${title}`, () => {
      const user = format === RISCV_SV39X4;
      const file = target(title.replaceAll(/[^A-Za-z0-9]/g, '-'), format, gva, user);
      const regs = registers.flatMap((register) => ['--reg', register]);
      const at = `0x${(gva + 0x10n).toString(16)}`;

      const walk = cli(['walk', file, at, ...regs, ...(user ? ['--user'] : [])]);
      assert.equal(walk.status, 0, walk.stderr + walk.stdout);
      assert.match(walk.stdout, mode);
      assert.match(walk.stdout, flags);
      assert.match(walk.stdout, /^gpa {3}000000004010 /m);

      const listed = json(cli(['pt', file, ...regs, '--json']));
      assert(Array.isArray(listed));
      assert.deepEqual(
        listed.map((record: { gva: string; gpa: string; size: string }) => [
          record.gva,
          record.gpa,
          record.size,
        ]),
        [
          [`0x${gva.toString(16)}`, '0x4000', '0x4000'],
          [`0x${(gva + 0x4000n).toString(16)}`, '0x10000', '0x4000'],
        ],
      );
      const both = json(cli(['pt', file, ...regs, '--json', '--wx']));
      assert(Array.isArray(both) && both.length === 1, 'one range is both writable and executable');

      if (user) return;
      const read = cli(['read', file, '-v', at, '10', ...regs]);
      assert.equal(read.status, 0, read.stderr);
      assert.match(read.stdout, /guest text/);
      const hole = cli(['read', file, '-v', `0x${(gva + 0x7ff8n).toString(16)}`, '16', ...regs]);
      assert.equal(hole.status, 4, 'partial data');
    });
  }

  it('C T3: pt finds what user code, the kernel or both can write and execute, and says who may', () => {
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 39, half: 'upper' });
    const ram = new Uint8Array(SIZE);
    const memory = GuestMemory.from(bytes(ram));
    const tables = new GuestTables(memory, { frames: new FrameRange(ROOT, 0x10_0000) });
    createRoot(tables, format);
    const base = 0xffff_ff80_0000_0000n;
    const pages: readonly (readonly [rights: string, request: Partial<MapRequest>])[] = [
      ['rw-s', { write: true }],
      ['rwxs', { write: true, execute: true }],
      ['r-xs', { execute: true }],
      ['r-Xs', { execute: true, supervisorExecute: false }],
      ['rwXs', { write: true, execute: true, supervisorExecute: false }],
      ['rwxu', { write: true, execute: true, user: true }],
      ['r-Xu', { execute: false, supervisorExecute: true, user: true }],
      // PXN is clear, but EL1 executes nothing that EL0 can write.
      ['rw-u', { write: true, execute: false, supervisorExecute: true, user: true }],
    ];
    for (const [i, [, request]] of pages.entries()) {
      const gva = base + BigInt(i * 0x2000);
      map(tables, { format, gva, gpa: 0x2_0000 + i * 0x2000, length: 0x1000, ...request });
    }
    const path = join(dir, 'execution');
    writeFileSync(path, ram);
    const listed = (...options: string[]): readonly string[] => {
      const registers = ['--reg', 'tcr=0x280190099', '--reg', `ttbr1=${ROOT}`];
      const found = json(cli(['pt', `raw:${path}`, ...registers, '--json', ...options]));
      assert(Array.isArray(found));
      return found.map(({ rights }: { rights: string }) => rights);
    };
    assert.deepEqual(
      listed(),
      pages.map(([rights]) => rights),
    );
    assert.deepEqual(listed('--wx'), ['rwxs', 'rwXs', 'rwxu']);
    assert.deepEqual(listed('--user'), ['r-Xs', 'rwXs', 'rwxu', 'r-Xu', 'rw-u']);
    assert.deepEqual(listed('--supervisor'), ['rw-s', 'rwxs', 'r-xs']);
    const text = cli(['pt', `raw:${path}`, '--reg', 'tcr=0x280190099', '--reg', `ttbr1=${ROOT}`]);
    assert.deepEqual(
      [...text.stdout.matchAll(/ (....) {2}\S+ +4K {2}W\+X$/gm)].map(([, rights]) => rights),
      ['rwxs', 'rwXs', 'rwxu'],
    );
  });

  const named: readonly PagingFormat[] = [
    ...FORMATS,
    eptFormat({ levels: 4, modeBasedExecute: true }),
    ...([4096, 16384, 65536] as const).flatMap((granule) => [
      aarch64Stage1Format({ granule, inputBits: 47 }),
      aarch64Stage1Format({ granule, inputBits: 47, half: 'upper', wide: granule === 65536 }),
      aarch64Stage2Format({ granule, inputBits: 40 }),
    ]),
  ];
  for (const format of named) {
    it(`C: --paging names every format: ${format.name}`, () => {
      const gva = format.upperBits === 'ones' ? 0xffff_8000_1234_0000n : 0x1234_0000n;
      const unit = 0x1_0000;
      // Second stages that are asked on behalf of a guest, whose accesses are all those of users.
      const user = /x4$|^npt/.test(format.name);
      const file = target(format.name, format, gva, user, unit);
      const space = ['--cr3', `0x${ROOT.toString(16)}`, '--paging', format.name];
      const walk = cli([
        'walk',
        file,
        `0x${(gva + 0x10n).toString(16)}`,
        ...space,
        ...(user ? ['--user'] : []),
      ]);
      assert.equal(walk.status, 0, walk.stderr + walk.stdout);
      assert.match(
        walk.stdout,
        new RegExp(`^paging ${format.name}; cr3 0x100000 from --cr3; from --paging$`, 'm'),
      );
      assert.match(walk.stdout, /^gpa +0*10010 /m);
      const list = json(cli(['pt', file, ...space, '--json']));
      assert(Array.isArray(list));
      assert.equal(list[0].gva, `0x${gva.toString(16)}`);
      if (!user)
        assert.match(
          cli(['read', file, '-v', `0x${(gva + 0x10n).toString(16)}`, '10', ...space]).stdout,
          /guest text/,
        );
    });
  }

  it('C: registers that do not go together, or do not suffice, are one clear line', () => {
    const file = target('wrong', RISCV_SV39, 0x4000n, false);
    const refused = (args: readonly string[], message: RegExp): void => {
      const { status, stderr } = cli(['walk', file, '0x4000', ...args]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1);
    };
    refused(['--reg', 'satp=0x8000000000000100', '--reg', 'tcr=0'], /Cannot use satp, tcr together/);
    refused(['--reg', 'ttbr0=0x1000'], /--reg tcr=VALUE is needed too/);
    refused(['--reg', 'tcr=0x10'], /ttbr0=VALUE or ttbr1=VALUE is needed too/);
    refused(['--reg', 'satp=0x7000000000000100'], /Cannot use satp 0x7000000000000100/);
    refused(
      ['--reg', 'satp=0x8000000000000100', '--paging', 'x86-4level'],
      /Cannot use --paging x86-4level with satp/,
    );
    refused(['--reg', 'eptp=0x1000'], /EPTP bits 5:3 say 1 levels/);
    refused(['--reg', 'nonsense=1'], /Cannot use register nonsense/);
    const other = cli(['walk', file, '0x4010', '--cr3', String(ROOT), '--paging', 'riscv-sv39']);
    assert.equal(other.status, 0, other.stderr);
    const bare = cli(['walk', file, '0x4010', '--reg', 'satp=0']);
    assert.match(bare.stdout, /paging off; satp 0x0 from --reg/);
  });
});
