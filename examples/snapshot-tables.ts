/**
 * A sandbox that is forked from a snapshot: tables are built in a buffer before there is a guest, the guest runs, its
 * tables are walked into a snapshot that holds each page once, and are rebuilt with every writable page copy-on-write. The
 * same calls work on all three: a buffer, guest memory, and tables behind an interface of one's own.
 */
import assert from 'node:assert/strict';
import { GuestMemory, isGuestMemoryError } from 'guestmem';
import {
  BufferTables,
  createRoot,
  FrameRange,
  GuestTables,
  isPagingError,
  map,
  mappings,
  Translator,
  unmap,
  VirtualMemory,
  X86_4LEVEL,
} from 'guestmem/paging';

const format = X86_4LEVEL;
/** A bit that x86 leaves to software: this page is to be copied before it is written. */
const COPY_ON_WRITE = 1;
const CODE = 0x40_0000n;
const DATA = 0x60_0000n;
const PAGE = 4096;

// 1. Before there is a guest: its tables, in a buffer that will be its memory from 0x10_0000 on.
const prepared = new BufferTables(new Uint8Array(0x1_0000), 0x10_0000);
createRoot(prepared, format);
map(prepared, { format, gva: CODE, gpa: 0x1000, length: 0x2000, execute: true });
map(prepared, { format, gva: DATA, gpa: 0x8000, length: 0x4000, write: true });
console.log(`Built ${prepared.used / PAGE} tables in a buffer`);

// 2. The guest runs: the tables are loaded, and it writes its data.
const guest = GuestMemory.allocate(0x20_0000);
for (let offset = 0; offset < prepared.used; offset += 8)
  guest.writeU64(0x10_0000 + offset, prepared.readEntry(0x10_0000 + offset, 8) ?? 0n);
const running = new VirtualMemory(
  guest,
  new Translator({ memory: guest, format, root: prepared.rootTable() }),
);
running.writeAt(DATA + 0x0ffcn, new TextEncoder().encode('state of the guest'));

// 3. The snapshot: every mapped page once, and what was mapped how. Tables that point at each other cannot trap this: the
// listing has a budget, and ends with a record that says so.
const snapshot = GuestMemory.allocate(0x8_0000);
const copies = new Map<number, number>();
const source = new Translator({ memory: guest, format, root: prepared.rootTable() });
const ranges = [...mappings(source, { expandAliases: true })];
const tables = new GuestTables(snapshot, { frames: new FrameRange(0x4_0000, 0x4_0000) });
createRoot(tables, format);
for (const range of ranges) {
  assert(range.kind === 'mapped');
  const { gva, gpa, size, rights } = range;
  for (let offset = 0; offset < size; offset += PAGE) {
    // A page that is mapped twice is copied once, so that both see the same bytes.
    const copy = copies.get(gpa + offset) ?? copies.size * PAGE;
    if (!copies.has(gpa + offset)) snapshot.copyFrom(guest, gpa + offset, copy, PAGE);
    copies.set(gpa + offset, copy);
    const { execute, user } = rights;
    map(tables, {
      format,
      gva: gva + BigInt(offset),
      gpa: copy,
      length: PAGE,
      execute,
      user,
      software: rights.write ? COPY_ON_WRITE : 0,
    });
  }
}
console.log(`A snapshot of ${copies.size} pages in ${ranges.length} ranges`);

// 4. A fork: writing meets a page that is read-only and marked, and gets a page of its own.
const translator = new Translator({ tables, format });
const fork = new VirtualMemory(snapshot, translator);
let free = 0x2_0000;
function write(gva: bigint, bytes: Uint8Array): void {
  for (;;) {
    try {
      fork.writeAt(gva, bytes);
      return;
    } catch (error) {
      const fault = isGuestMemoryError(error) && isPagingError(error.cause) ? error.cause : undefined;
      const page = (fault?.gva ?? 0n) & ~0xfffn;
      const found = translator.translate(page);
      if (found.kind !== 'mapped' || found.software !== COPY_ON_WRITE) throw error;
      // The copy, then the entry: another address, writable, and no longer marked.
      snapshot.copyFrom(snapshot, found.gpa, free, PAGE);
      const { invalidations } = unmap(tables, { format, gva: page, length: PAGE });
      const { user } = found.rights;
      map(tables, { format, gva: page, gpa: free, length: PAGE, write: true, user });
      console.log(`Copied the page at 0x${page.toString(16)}; to invalidate: ${invalidations.length} range`);
      free += PAGE;
    }
  }
}
write(DATA + 0x1000n, new TextEncoder().encode('THE FORK'));

const text = new TextDecoder().decode(fork.readBytes(DATA + 0x0ffcn, 18));
assert.equal(text, 'statTHE FORK guest');
assert.equal(new TextDecoder().decode(running.readBytes(DATA + 0x0ffcn, 18)), 'state of the guest');
assert.throws(
  () => write(CODE, Uint8Array.of(0x90)),
  (error) => isGuestMemoryError(error) && error.code === 'fault',
);
console.log('The fork wrote, the guest kept its state, and code stays read-only');
