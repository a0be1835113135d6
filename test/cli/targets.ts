import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytes, GuestMemory } from '../../src/core/index.ts';
import { createRoot, FrameRange, GuestTables, map, X86_4LEVEL } from '../../src/paging/index.ts';
import { elfCore, qemuNote } from '../support/elf-core.ts';

/** Size of the synthetic guest's RAM. */
export const RAM = 0x40_0000;
/** The root of its page tables. */
export const CR3 = 0x10_0000;
export const KERNEL = 0xffff_8000_0000_0000n;
/** An ASCII text that stands across a page border of the user range, whose two pages are far apart. */
export const TEXT = 'a text across two pages';
export const TEXT_GVA = 0x40_0ff8n;

/**
 * A guest in a file: 4 MiB of RAM with 4-level tables at 0x100000.
 *
 * - 0xffff800000000000: 2 MiB at 0, one large page, rw, supervisor
 * - 0x400000: one page at 0x3000, r-x, user; 0x401000: one page at 0x8000, r-x, user
 * - 0x500000: one page at 0x5000, rwx, user
 * - 0x600000: one page at 4 GiB, where the target has nothing
 * - 0x8000000000 (the second root entry): its table lies at 512 GiB, outside the target
 */
export function makeRam(): Uint8Array {
  const ram = new Uint8Array(RAM);
  for (let i = 0; i < 0x1000; i++) ram[0x20_0000 + i] = (i * 31 + 7) & 0xff;
  const memory = GuestMemory.fromRegions([{ start: 0, backing: bytes(ram) }]);
  const tables = new GuestTables(memory, { frames: new FrameRange(CR3, 0x10_0000) });
  createRoot(tables, X86_4LEVEL);
  const format = X86_4LEVEL;
  const user = { format, length: 0x1000, user: true };
  map(tables, { format, gva: KERNEL, gpa: 0, length: 0x20_0000, write: true });
  map(tables, { ...user, gva: 0x40_0000n, gpa: 0x3000, execute: true });
  map(tables, { ...user, gva: 0x40_1000n, gpa: 0x8000, execute: true });
  map(tables, { ...user, gva: 0x50_0000n, gpa: 0x5000, execute: true, write: true });
  map(tables, { ...user, gva: 0x60_0000n, gpa: 0x1_0000_0000 });
  memory.writeU64(tables.toPhys(tables.rootTable()) + 8, 0x80_0000_0000n | 7n);
  const text = new TextEncoder().encode(TEXT);
  memory.writeAt(0x3ff8, text, 0, 8);
  memory.writeAt(0x8000, text, 8, text.length - 8);
  return ram;
}

/** The files of one test run. */
export class Targets {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'guestmem-cli-'));
  readonly raw: string = this.write('ram.bin', makeRam());
  /** The same RAM as an ELF core: 0 to 640 KiB, and 1 MiB to 4 MiB. */
  readonly core: string = this.write('vm.elf', makeCore());
  /** The core without its last MiB. */
  readonly truncated: string = this.write('short.elf', makeCore().subarray(0, -0x10_0000));
  readonly empty: string = this.write('empty', new Uint8Array(0));

  /** Writes a file of this run and answers its path. */
  write(name: string, content: Uint8Array): string {
    const path = join(this.dir, name);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true });
  }
}

const LONG_MODE_CODE = 1 << 21;

function makeCore(): Uint8Array {
  const ram = makeRam();
  const cpu = { cr0: 0x8005_0033n, cr3: BigInt(CR3), cr4: 0x20n, rip: KERNEL, csFlags: LONG_MODE_CODE };
  return elfCore({
    notes: [qemuNote(cpu)],
    segments: [
      { paddr: 0n, data: ram.subarray(0, 0xa_0000) },
      { paddr: 0x10_0000n, data: ram.subarray(0x10_0000) },
    ],
  });
}
