import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRegisters } from '../../src/qemu/cpu-registers.ts';
import { parseFlatView } from '../../src/qemu/flat-view.ts';
import { mappingOf, parseMaps } from '../../src/qemu/proc-maps.ts';

// From QEMU 7.2, -M q35 -m 5G, shortened; the other views come first, as they may.
const MTREE = `FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan

FlatView #1
 AS "cpu-smm-0", root: memory
 Root memory region: memory
  0000000000000000-000000000009ffff (prio 0, ram): pc.ram

FlatView #2
 AS "mch", root: bus master container
 Root memory region: (none)
  No rendered FlatView

FlatView #3
 AS "cpu-memory-0", root: system
 AS "memory", root: system
 Root memory region: system
  0000000000000000-00000000000c2fff (prio 0, ram): pc.ram KVM
  00000000000c3000-00000000000e7fff (prio 0, rom): pc.ram @00000000000c3000 KVM
  0000000000100000-000000007fffffff (prio 0, ram): pc.ram @0000000000100000
  00000000febf0180-00000000febf03ff (prio 1, i/o): vga.mmio @0000000000000180
  00000000febf0400-00000000febf041f (prio 0, i/o): vga ioports remapped
  00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi
  00000000ff000000-00000000ff7fffff (prio -1, romd): system.flash0
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios
  0000000100000000-00000001bfffffff (prio 0, ram): pc.ram @0000000080000000
  0000000200000000-00000002ffffffff (prio 0, nv-ram): /objects/nv dimm@1
  ffff000000000000-ffffffffffffffff (prio 0, i/o): top

`;

describe('info mtree -f', () => {
  it('I4: takes the view of the address space "memory", with names, offsets and kinds', () => {
    const view = parseFlatView(MTREE);
    assert.deepEqual(
      view?.map(({ start, end, type, name, offset }) => [start, end, type, name, offset]),
      [
        [0, 0xc3000, 'ram', 'pc.ram', 0],
        [0xc3000, 0xe8000, 'rom', 'pc.ram', 0xc3000],
        [0x100000, 0x8000_0000, 'ram', 'pc.ram', 0x100000],
        [0xfebf_0180, 0xfebf_0400, 'i/o', 'vga.mmio', 0x180],
        [0xfebf_0400, 0xfebf_0420, 'i/o', 'vga ioports remapped', 0],
        [0xfee0_0000, 0xfef0_0000, 'i/o', 'apic-msi', 0],
        [0xff00_0000, 0xff80_0000, 'romd', 'system.flash0', 0],
        [0xfffc_0000, 0x1_0000_0000, 'rom', 'pc.bios', 0],
        [0x1_0000_0000, 0x1_c000_0000, 'ram', 'pc.ram', 0x8000_0000],
        [0x2_0000_0000, 0x3_0000_0000, 'ram', '/objects/nv dimm@1', 0],
      ],
    );
    assert.deepEqual(parseFlatView(MTREE.replaceAll('\n', '\r\n')), view);
  });

  it('I4: a listing without that view, or with one that overlaps itself or goes back, is none', () => {
    assert.equal(parseFlatView(''), undefined);
    assert.equal(parseFlatView(MTREE.replace('AS "memory"', 'AS "memories"')), undefined);
    assert.equal(parseFlatView(MTREE.replace('00000000000c3000-', '00000000000c2fff-')), undefined);
    assert.equal(
      parseFlatView(MTREE.replace('0000000000100000-000000007fffffff', '000000007fffffff-0000000000100000')),
      undefined,
    );
  });

  it('I4: any text gives a sorted view or none', () => {
    const pieces = MTREE.split(/(?<=[ \n\-@:])/);
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 60 }), (text) => {
        let last = 0;
        for (const { start, end, offset } of parseFlatView(` AS "memory", root: system\n${text.join('')}`) ??
          []) {
          assert(start >= last && end > start && end <= 2 ** 53 && offset >= 0);
          last = end;
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('info registers -a', () => {
  it('I4: takes control registers of every processor, in long mode and not', () => {
    const cpus = parseRegisters(`
CPU#0
RAX=ffffffff81000000 RBX=0000000000000000 RCX=0000000000000001 RDX=0000000000000000
RSI=0000000000000000 RDI=0000000000000000 RBP=0000000000000000 RSP=ffffc90000003f00
RIP=ffffffff81c0ffee RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=80050033 CR2=00007f0000001000 CR3=0000000002a10000 CR4=001516f0
EFER=0000000000000d01
CPU#1
EAX=000f49f6 EBX=00000000 ECX=000002ff EDX=00000001
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00006c5c
EIP=000fd09a EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000
EFER=0000000000000000
`);
    const source = "QEMU's info registers";
    assert.deepEqual(cpus, [
      {
        index: 0,
        source,
        cr0: 0x8005_0033n,
        cr2: 0x7f00_0000_1000n,
        cr3: 0x2a1_0000n,
        cr4: 0x15_16f0n,
        efer: 0xd01n,
        rip: 0xffff_ffff_81c0_ffeen,
        rsp: 0xffff_c900_0000_3f00n,
        rflags: 0x246n,
        longMode: true,
      },
      {
        index: 1,
        source,
        cr0: 0x11n,
        cr2: 0n,
        cr3: 0n,
        cr4: 0n,
        efer: 0n,
        rip: 0xf_d09an,
        rsp: 0x6c5cn,
        rflags: 2n,
        longMode: false,
      },
    ]);
  });

  it('I4: of another architecture it takes only which processors there are', () => {
    assert.deepEqual(parseRegisters('\nCPU#0\n PC=0000000040000000 X00=0000000000000000\n'), [
      { index: 0, source: "QEMU's info registers" },
    ]);
    assert.deepEqual(parseRegisters('unknown command: info registers'), []);
  });
});

describe('/proc/PID/maps', () => {
  const listing = `55d0c0000000-55d0c0001000 r--p 00000000 08:01 1234                       /usr/bin/qemu-system-x86_64
7f83ec000000-7f83f0000000 rw-s 00002000 00:01 2064                       /memfd:memory-backend-memfd (deleted)
7f8400000000-7f8400021000 rw-p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

  it('I4: tells shared files from private and anonymous memory', () => {
    const mappings = parseMaps(listing);
    assert.equal(mappings.length, 3);
    assert.deepEqual(mappings[1], {
      start: 0x7f83_ec00_0000,
      end: 0x7f83_f000_0000,
      shared: true,
      offset: 0x2000,
      device: '00:01',
      inode: 2064n,
      path: '/memfd:memory-backend-memfd (deleted)',
    });
    assert.deepEqual(
      mappings.map(({ shared, inode }) => [shared, inode]),
      [
        [false, 1234n],
        [true, 2064n],
        [false, 0n],
      ],
    );
  });

  it('I4: joins neighbours that go on with the same file or with nothing, and no others', () => {
    const joined = parseMaps(`1000-2000 rw-s 00000000 00:01 7 /memfd:ram (deleted)
2000-4000 rw-s 00001000 00:01 7 /memfd:ram (deleted)
4000-5000 rw-s 00000000 00:01 7 /memfd:ram (deleted)
5000-6000 rw-s 00001000 00:01 8 /memfd:ram (deleted)
6000-7000 rw-p 00000000 00:00 0
7000-8000 r--p 00000000 00:00 0
8000-9000 ---p 00000000 00:00 0
9000-a000 rw-p 00000000 00:00 0
`);
    assert.deepEqual(
      joined.map(({ start, end }) => [start, end]),
      [
        [0x1000, 0x4000],
        [0x4000, 0x5000],
        [0x5000, 0x6000],
        [0x6000, 0x8000],
        [0x9000, 0xa000],
      ],
    );
  });

  it('I4: finds the mapping that has the whole of a range', () => {
    const mappings = parseMaps(listing);
    assert.equal(mappingOf(mappings, 0x7f83_ec00_0000, 0x400_0000), mappings[1]);
    assert.equal(mappingOf(mappings, 0x7f83_ec00_0000, 0x400_0001), undefined);
    assert.equal(mappingOf(mappings, 0x7f83_ebff_ffff, 1), undefined);
    assert.equal(mappingOf(mappings, 0x7f83_f000_0000, 1), undefined);
  });
});
