/**
 * A device that outlives changes of the memory map: it holds an address space, not a memory, and asks for the memory
 * anew for each piece of work. The same device runs on an immutable map and on one that changes under it.
 */
import assert from 'node:assert/strict';
import { AtomicAddressSpace, type GuestAddressSpace, GuestMemory, heap, struct, u32, u64 } from 'guestmem';

const request = struct({ target: u64, length: u32, pattern: u32 });

/** Fills guest memory as the request at `requestGpa` says: a device of one register. */
class FillDevice {
  private space: GuestAddressSpace<GuestMemory> | undefined;

  activate(space: GuestAddressSpace<GuestMemory>): void {
    this.space = space;
  }

  kick(requestGpa: number): void {
    if (this.space === undefined) throw new Error('Activate the device first');
    const memory = this.space.memory();
    const { target, length, pattern } = memory.readPlain(request, requestGpa);
    memory.fillAt(Number(target), pattern, length);
  }
}

// An immutable map: a GuestMemory is its own address space, and one memory serves many devices.
const fixed = GuestMemory.fromRanges([[0x1000, 0x1000]]);
const first = new FillDevice();
const second = new FillDevice();
first.activate(fixed);
second.activate(fixed);
fixed.writePlain(request, 0x1000, { target: 0x1800n, length: 16, pattern: 0xaa });
first.kick(0x1000);
assert.equal(fixed.readU8(0x180f), 0xaa);

// A mutable map: memory is plugged at 4 GiB while the device is in use.
const space = new AtomicAddressSpace(fixed);
second.activate(space);
fixed.writePlain(request, 0x1000, { target: 0x1_0000_0000n, length: 4096, pattern: 0x55 });
assert.throws(() => second.kick(0x1000), { code: 'unmapped', failedAt: 0x1_0000_0000 });
space.update((memory) => memory.insertRegion({ start: 0x1_0000_0000, backing: heap(0x10_0000) }));
second.kick(0x1000);
assert.equal(space.memory().readU8(0x1_0000_0fff), 0x55);
assert.equal(fixed.checkRange(0x1_0000_0000, 1), false);
console.log(`Plugged: ${space.memory()}`);
