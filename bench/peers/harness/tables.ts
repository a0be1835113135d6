import { GuestMemory, heap } from 'guestmem';
import { ACCESS, createRoot, FrameRange, GuestTables, map, Translator, X86_4LEVEL } from 'guestmem/paging';
import type { Measurement } from '../../harness/measurement.ts';
import { pollute } from '../../harness/pollute.ts';

const RAM = 0x1_0000_0000;
const ARENA = 64 * 1024 * 1024;
const PAGES = 2 ** 20;
const GVA = 0xffff_8880_0000_0000n;

/** As in bench/peers/src/map.rs: the same frames at every call, and room for the last page's address in the answer. */
export const MAP: Measurement = {
  name: 'map 1,048,576 pages of 4 KiB',
  prepare() {
    pollute();
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: heap(0x10_0000) },
      { start: RAM, backing: heap(ARENA) },
    ]);
    const request = {
      format: X86_4LEVEL,
      gva: GVA,
      gpa: 0,
      length: PAGES * 4096,
      maxPageSize: 4096,
      write: true,
    };
    return {
      operations: PAGES,
      ours() {
        const frames = new FrameRange(RAM, ARENA);
        const tables = new GuestTables(memory, { frames });
        createRoot(tables, X86_4LEVEL);
        map(tables, request);
        const last = new Translator({ tables, format: X86_4LEVEL }).resolveGva(
          GVA + BigInt((PAGES - 1) * 4096),
          ACCESS.write,
        );
        return frames.used + last;
      },
    };
  },
};
