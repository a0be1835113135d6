import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  alias,
  callbacks,
  type FallbackAccess,
  GuestMemory,
  IommuView,
  u8,
  u16,
  u32,
  u64,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

/** 64 KiB of RAM behind an IOMMU that knows nothing yet. */
function makeView(): { ram: GuestMemory; view: IommuView; memory: GuestMemory } {
  const ram = GuestMemory.allocate(0x1_0000, { name: 'ram' });
  const view = new IommuView({ memory: ram, name: 'device' });
  return { ram, view, memory: view.memory() };
}

describe('scalars and atomics of an IommuView', () => {
  /** A target of calls that counts them by width. */
  function countingTarget(): { memory: GuestMemory; calls: string[] } {
    const store = new Uint8Array(0x1000);
    const calls: string[] = [];
    const access: FallbackAccess = {
      read(offset, dest) {
        calls.push(`read ${dest.length}`);
        dest.set(store.subarray(offset, offset + dest.length));
      },
      write(offset, src) {
        calls.push(`write ${src.length}`);
        store.set(src, offset);
      },
      compareExchange(_offset, expected) {
        calls.push(`exchange ${expected.length}`);
        return true;
      },
    };
    return { memory: GuestMemory.from(callbacks({ size: 0x1000, ...access })), calls };
  }

  it('R OpenVMM D2: an aligned scalar is exactly one access of its width behind the translation', () => {
    const { memory: target, calls } = countingTarget();
    const view = new IommuView({ memory: target });
    view.iotlb.map(0x1_0000, 0x100, 0x100, 'rw');
    // Two entries whose bytes touch in the guest are no seam.
    view.iotlb.map(0x1_0100, 0x200, 0x100, 'r');
    view.iotlb.map(0x1_0104, 0x204, 4, 'rw');
    const memory = view.memory();
    for (const iova of [0x1_0008, 0x1_0100]) {
      memory.readU8(iova);
      memory.readU16(iova);
      memory.readU32(iova);
      memory.readU64(iova);
      assert.deepEqual(calls.splice(0), ['read 1', 'read 2', 'read 4', 'read 8']);
    }
    memory.writeU8(0x1_0008, 1);
    memory.writeU16(0x1_0008, 1);
    memory.writeU32(0x1_0008, 1);
    memory.writeU64(0x1_0008, 1n);
    assert.deepEqual(calls.splice(0), ['write 1', 'write 2', 'write 4', 'write 8']);
    // Through another memory of calls as well.
    const again = GuestMemory.from(alias(memory, 0x1_0000, 0x100));
    again.readU64(8);
    again.writeU32(8, 1);
    assert.deepEqual(calls.splice(0), ['read 8', 'write 4']);
  });

  it('R OpenVMM D7: compare-exchange works through an IOMMU, on every width', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'rw');
    for (const type of [u8, u16, u32] as const) {
      memory.writePlain(type, 0x1008, 5);
      assert.equal(memory.compareExchange(type, 0x1008, 6, 7), 5);
      assert.equal(memory.compareExchange(type, 0x1008, 5, 7), 5);
      assert.equal(ram.readPlain(type, 0x4008), 7);
    }
    memory.writeU64(0x1010, 5n);
    assert.equal(memory.compareExchange(u64, 0x1010, 5n, 2n ** 60n), 5n);
    assert.equal(ram.readU64(0x4010), 2n ** 60n);
    assert.equal(memory.checkGpaWritable(0x1010), true);
  });

  it('S4: compare-exchange tells what is there, and so needs both rights', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'w');
    ram.writeU32(0x4000, 9);
    refused(() => memory.compareExchange(u32, 0x1000, 0, 1), { code: 'denied', failedAt: 0x1000 });
    memory.writeU32(0x1000, 3);
    refused(() => memory.readU32(0x1000), { code: 'denied' });
    view.iotlb.map(0x1000, 0x4000, 0x1000, 'r');
    refused(() => memory.compareExchange(u32, 0x1000, 3, 1), { code: 'denied', failedAt: 0x1000 });
    assert.equal(ram.readU32(0x4000), 3);
  });

  it('R vm-memory 2.5: an atomic step across two translations, or on one that is not congruent, is an error', () => {
    const { ram, view, memory } = makeView();
    view.iotlb.map(0x1000, 0x4000, 4, 'rw');
    view.iotlb.map(0x1004, 0x8004, 4, 'rw');
    refused(() => memory.compareExchange(u64, 0x1000, 0n, 1n), { code: 'misaligned' });
    refused(() => memory.compareExchange(u32, 0x1002, 0, 1), { code: 'misaligned' });
    view.iotlb.map(0x2000, 0x4001, 8, 'rw');
    refused(() => memory.compareExchange(u32, 0x2000, 0, 1), { code: 'misaligned' });
    sameBytes(ram.readBytes(0, 0x1_0000), new Uint8Array(0x1_0000));
    memory.writeU64(0x1000, 0x2222_2222_1111_1111n);
    assert.deepEqual([ram.readU32(0x4000), ram.readU32(0x8004)], [0x1111_1111, 0x2222_2222]);
  });

  it('R vm-memory 2.4.5: an atomic step without any translation is an error, not a crash', () => {
    const { memory } = makeView();
    refused(() => memory.compareExchange(u32, 0x1000, 0, 1), { code: 'unmapped', failedAt: 0x1000 });
    refused(() => memory.load(u32, 0x1000), { code: 'unmapped', failedAt: 0x1000 });
    refused(() => memory.store(u32, 0x1000, 1), { code: 'unmapped', failedAt: 0x1000 });
    refused(() => memory.readU8(2 ** 53 - 1), { code: 'unmapped', failedAt: 2 ** 53 - 1 });
  });
});
