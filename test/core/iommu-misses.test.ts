import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  GuestMemory,
  IommuView,
  Iotlb,
  iotlbFaults,
  isGuestMemoryError,
  pending,
  settle,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

describe('misses of an IommuView', () => {
  it('S4: a miss and a missing right are asked for, with the part of the request that they concern', () => {
    const ram = GuestMemory.allocate(0x1_0000);
    const asked: [number, number, string][] = [];
    const view = new IommuView({
      memory: ram,
      onMiss(iova, length, access) {
        asked.push([iova, length, access]);
        view.iotlb.map(iova, iova, length, 'rw');
        return true;
      },
    });
    view.iotlb.map(0x1000, 0x1000, 0x1000, 'rw');
    view.iotlb.map(0x2000, 0x2000, 0x1000, 'r');
    const memory = view.memory();
    memory.writeAt(0x1f00, new Uint8Array(0x1200));
    assert.deepEqual(asked, [
      [0x2000, 0x1000, 'write'],
      [0x3000, 0x100, 'write'],
    ]);
    memory.writeAt(0x1f00, new Uint8Array(0x1200));
    assert.equal(asked.length, 2);
    memory.readU64(0x8000);
    assert.deepEqual(asked[2], [0x8000, 8, 'read']);
  });

  it('S4: may answer a page at a time', () => {
    const ram = GuestMemory.allocate(0x20_0000);
    let calls = 0;
    const view = new IommuView({
      memory: ram,
      onMiss(iova) {
        calls++;
        view.iotlb.map(iova, iova, 0x1000, 'rw');
        return true;
      },
    });
    view.memory().fillAt(0, 1, 0x20_0000);
    assert.equal(calls, 0x200);
  });

  it('S4: one that answers the first fault only still lets a partial access come that far', () => {
    const asked: number[] = [];
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1_0000),
      onMiss(iova, length) {
        asked.push(iova);
        if (iova >= 0x3000) return false;
        view.iotlb.map(iova, iova, length, 'r');
        return true;
      },
    });
    view.iotlb.map(0x2000, 0x2000, 0x1000, 'r');
    assert.equal(view.memory().read(0x1000, new Uint8Array(0x3000)), 0x2000);
    assert.deepEqual(asked.slice(0, 2), [0x1000, 0x3000]);
  });

  it('S4: one that says no leaves the access unmapped or denied', () => {
    const ram = GuestMemory.allocate(0x1000);
    let calls = 0;
    const view = new IommuView({
      memory: ram,
      onMiss: () => {
        calls++;
        return false;
      },
    });
    refused(() => view.memory().readU8(0x10), { code: 'unmapped', failedAt: 0x10 });
    assert(calls > 0);
    view.iotlb.map(0, 0, 0x1000, 'r');
    refused(() => view.memory().writeU8(0x10, 1), { code: 'denied', failedAt: 0x10 });
  });

  it('R OpenVMM 2.4: one that says "look again" for ever ends in retry-limit', () => {
    let calls = 0;
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1000),
      onMiss: () => {
        calls++;
        return true;
      },
    });
    const error = refused(() => view.memory().readU32(0x10), { code: 'retry-limit', failedAt: 0x10 });
    assert.deepEqual(iotlbFaults(error), [{ kind: 'miss', iova: 0x10, length: 4 }]);
    assert(calls < 100, `${calls} calls`);
  });

  it('S4: an IOTLB too small for one request ends in retry-limit, and still serves smaller ones', () => {
    const ram = GuestMemory.allocate(0x1_0000);
    const view = new IommuView({
      memory: ram,
      iotlb: new Iotlb({ capacity: 2 }),
      onMiss(iova) {
        const page = iova - (iova % 0x1000);
        view.iotlb.map(page, (0xf000 - page) % 0x1_0000, 0x1000, 'rw');
        return true;
      },
    });
    refused(() => view.memory().writeAt(0, new Uint8Array(0x3000).fill(1)), { code: 'retry-limit' });
    sameBytes(ram.readBytes(0, 0x1_0000), new Uint8Array(0x1_0000));
    for (let iova = 0; iova < 0xf000; iova += 0x800) view.memory().fillAt(iova, 2, 0x1000);
    assert.equal(view.iotlb.size, 2);
  });

  it('S4: an access that it makes through the same IOMMU does not ask it again', () => {
    const reasons: unknown[] = [];
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1000),
      onMiss(iova, length) {
        try {
          view.memory().readU8(0x800);
        } catch (error) {
          reasons.push(isGuestMemoryError(error) ? error.code : error);
        }
        view.iotlb.map(iova, iova, length, 'r');
        return true;
      },
    });
    assert.equal(view.memory().readU8(0), 0);
    assert.deepEqual(reasons, ['unmapped']);
  });

  it('M16: one that has to wait throws pending, and settle waits for it', async () => {
    const ram = GuestMemory.allocate(0x1000);
    ram.writeU32(0x40, 7);
    const view = new IommuView({
      memory: ram,
      onMiss(iova, length) {
        throw pending(Promise.resolve().then(() => view.iotlb.map(iova, iova, length, 'r')));
      },
    });
    refused(() => view.memory().readU32(0x40), { code: 'pending' });
    assert.equal(await settle(() => view.memory().readU32(0x40)), 7);
  });

  it("E: what it throws is the cause of the access's error, and it is asked again the next time", () => {
    const boom = new Error('no connection');
    let broken = true;
    const view = new IommuView({
      memory: GuestMemory.allocate(0x1000),
      onMiss(iova, length) {
        if (broken) throw boom;
        view.iotlb.map(iova, iova, length, 'r');
        return true;
      },
    });
    const error = refused(() => view.memory().readU8(1), { code: 'fault', failedAt: 1 });
    assert.equal(error.cause, boom);
    broken = false;
    assert.equal(view.memory().readU8(1), 0);
  });
});
