/**
 * A file reaches guest memory with no copy between: the kernel's `readv` writes into the host bytes behind the guest's
 * addresses, across as many regions as the range has.
 */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readvSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GuestMemory } from 'guestmem';

const folder = mkdtempSync(join(tmpdir(), 'guestmem-example-'));
const path = join(folder, 'kernel.bin');
writeFileSync(
  path,
  Uint8Array.from({ length: 0x2000 }, (_, i) => i % 251),
);

const memory = GuestMemory.fromRanges(
  [
    [0x10_0000, 0x1000],
    [0x10_1000, 0x1000],
  ],
  { shared: true },
);
const file = openSync(path, 'r');
const views = memory.views(0x10_0000, 0x2000, 'write');
try {
  const count = readvSync(file, views.iovecs, 0);
  console.log(`Read ${count} bytes into ${views.iovecs.length} regions`);
} finally {
  views.release();
  closeSync(file);
  rmSync(folder, { recursive: true });
}
assert.equal(memory.readU8(0x10_0000 + 0x1234), 0x1234 % 251);
