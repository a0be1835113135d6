/** RAM, ROM and a serial port in one address space: what an emulator's bus is, in a dozen lines. */
import assert from 'node:assert/strict';
import { bytes, callbacks, GuestMemory, shared } from 'guestmem';

let output = '';
const serial = callbacks({
  kind: 'serial',
  size: 8,
  // One call for each access of the guest, of exactly the guest's width.
  read(offset, dest) {
    dest.fill(0);
    if (offset === 5) dest[0] = 0x20; // line status: transmitter empty
  },
  write(offset, src) {
    if (offset === 0) output += String.fromCharCode(src[0] ?? 0);
  },
});

const bus = GuestMemory.fromRegions(
  [
    { start: 0x8000_0000, backing: shared(0x40_0000) },
    { start: 0x0000_1000, backing: bytes(new TextEncoder().encode('hello from ROM\n'), { readOnly: true }) },
    { start: 0x1000_0000, backing: serial },
  ],
  { name: 'bus' },
);

for (let gpa = 0x1000; gpa < 0x100f; gpa++) {
  const byte = bus.readU8(gpa);
  bus.writeU8(0x8000_0000 + gpa - 0x1000, byte);
  if ((bus.readU8(0x1000_0005) & 0x20) !== 0) bus.writeU8(0x1000_0000, byte);
}

assert.equal(output, 'hello from ROM\n');
assert.equal(bus.readCString(0x8000_0000, 64), output);
assert.throws(() => bus.writeU8(0x1000, 0), { code: 'denied', failedAt: 0x1000 });
console.log(String(bus));
