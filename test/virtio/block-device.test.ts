import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  BlockDevice,
  type BlockDeviceOptions,
  BlockDriver,
  type BlockStorage,
  DescriptorChain,
  type GuestBuffer,
  isQueueError,
  layoutSplitQueue,
  MemoryStorage,
  SplitDriverQueue,
  SplitQueue,
  serviceQueue,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
} from '../../src/virtio/index.ts';

const SECTORS = 16;
const DATA = 0x10000;

/** A storage that notes what is asked of it, and fails when told to. */
class RecordingStorage extends MemoryStorage {
  readonly log: string[] = [];
  failure: Error | undefined;

  override readv(position: number, iovecs: readonly Uint8Array[]): void {
    this.note(`readv ${position} ${iovecs.map((iovec) => iovec.length).join('+')}`);
    super.readv(position, iovecs);
  }

  override writev(position: number, iovecs: readonly Uint8Array[]): void {
    this.note(`writev ${position} ${iovecs.map((iovec) => iovec.length).join('+')}`);
    super.writev(position, iovecs);
  }

  override flush(): void {
    this.note('flush');
  }

  private note(call: string): void {
    this.log.push(call);
    if (this.failure !== undefined) throw this.failure;
  }
}

class Machine {
  readonly memory: GuestMemory = GuestMemory.allocate(0x40000);
  readonly storage: RecordingStorage;
  readonly device: BlockDevice;
  readonly driver: BlockDriver;
  readonly queue: SplitQueue;
  readonly errors: unknown[] = [];

  constructor(options: Partial<BlockDeviceOptions> & { size?: number; negotiate?: bigint } = {}) {
    const bytes = new Uint8Array(options.size ?? SECTORS * 512);
    bytes.forEach((_, i) => {
      bytes[i] = (i / 512) * 16 + (i % 16);
    });
    this.storage = new RecordingStorage(bytes);
    this.device = new BlockDevice({
      storage: this.storage,
      onError: (error) => this.errors.push(error),
      ...options,
    });
    this.device.acceptFeatures(options.negotiate ?? this.device.features);
    const layout = layoutSplitQueue(0, 64, { indirectCapacity: 16 });
    this.queue = new SplitQueue(this.memory, layout, {
      indirect: true,
      maxChainLength: this.device.maxChainLength,
    });
    this.driver = new BlockDriver(this.memory, new SplitDriverQueue(this.memory, layout, layout), layout.end);
  }

  /** Sends what was added, and answers the one completion. */
  run(): { status: string; written: number } {
    this.driver.queue.publish();
    const { notify, more } = serviceQueue(this.device, 0, this.queue);
    assert.deepEqual({ notify, more }, { notify: true, more: false });
    assert.equal(this.driver.queue.fetchUsed(), 1);
    const completion = this.driver.collect();
    assert(completion !== undefined);
    return { status: completion.status, written: completion.written };
  }

  /** A request whose framing is all up to the caller. */
  raw(
    out: readonly GuestBuffer[],
    into: readonly GuestBuffer[],
  ): { id: number; written: number } | undefined {
    this.driver.queue.add(out, into);
    this.driver.queue.publish();
    serviceQueue(this.device, 0, this.queue);
    this.driver.queue.fetchUsed();
    return this.driver.queue.collect();
  }

  header(gpa: number, type: number, sector: bigint): void {
    this.memory.writeU32(gpa, type);
    this.memory.writeU32(gpa + 4, 0);
    this.memory.writeU64(gpa + 8, sector);
  }
}

describe('block device: requests', () => {
  it('V3: reads sectors into guest memory, by one call with the pieces as they lie', () => {
    const machine = new Machine();
    machine.driver.read(2, [
      { gpa: DATA, length: 512 },
      { gpa: DATA + 0x1000, length: 1024 },
    ]);
    assert.deepEqual(machine.run(), { status: 'ok', written: 1537 });
    assert.deepEqual(machine.storage.log, ['readv 1024 512+1024']);
    assert.deepEqual(machine.memory.readBytes(DATA, 512), machine.storage.bytes.slice(1024, 1536));
    assert.deepEqual(machine.memory.readBytes(DATA + 0x1000, 1024), machine.storage.bytes.slice(1536, 2560));
  });

  it('V3: writes sectors from guest memory', () => {
    const machine = new Machine();
    machine.memory.fillAt(DATA, 0xab, 1024);
    machine.driver.write(3, [{ gpa: DATA, length: 1024 }]);
    assert.deepEqual(machine.run(), { status: 'ok', written: 1 });
    assert.deepEqual(machine.storage.log, ['writev 1536 1024']);
    assert(machine.storage.bytes.subarray(1536, 2560).every((byte) => byte === 0xab));
    assert.notEqual(machine.storage.bytes[2560], 0xab);
    assert.notEqual(machine.storage.bytes[1535], 0xab);
  });

  it('V3: flushes', () => {
    const machine = new Machine();
    machine.driver.flush();
    assert.deepEqual(machine.run(), { status: 'ok', written: 1 });
    assert.deepEqual(machine.storage.log, ['flush']);
  });

  it('V3: tells its ID, padded with zeros', () => {
    const machine = new Machine({ serial: 'guestmem-1' });
    machine.memory.fillAt(DATA, 0xff, 32);
    machine.driver.getId({ gpa: DATA, length: 20 });
    assert.deepEqual(machine.run(), { status: 'ok', written: 21 });
    assert.equal(machine.memory.readCString(DATA, 20), 'guestmem-1');
    assert.deepEqual(
      machine.memory.readBytes(DATA + 10, 11),
      new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]),
    );

    machine.driver.getId({ gpa: DATA, length: 30 });
    assert.deepEqual(machine.run(), { status: 'ok', written: 20 });
    machine.driver.getId({ gpa: DATA, length: 19 });
    assert.deepEqual(machine.run(), { status: 'ioerr', written: 0 });
    assert.throws(() => new BlockDevice({ storage: machine.storage, serial: 'x'.repeat(21) }), {
      code: 'invalid',
    });
    assert.throws(() => new BlockDevice({ storage: machine.storage, serial: 'é'.repeat(11) }), {
      code: 'invalid',
    });
  });

  it('V3: what it does not know is unsupported', () => {
    const machine = new Machine();
    for (const type of [2, 3, 5, 9, 10, 11, 13, 14, 15, 16, 0x8000_0000, 0xffff_ffff]) {
      machine.driver.submit(type, 0, [], []);
      assert.deepEqual(machine.run(), { status: 'unsupp', written: 1 }, `${type}`);
    }
    assert.deepEqual(machine.storage.log, []);
  });

  it('V3: a read or write of no bytes is none', () => {
    const machine = new Machine();
    machine.driver.read(SECTORS, []);
    assert.equal(machine.run().status, 'ok');
    machine.driver.write(0, []);
    assert.equal(machine.run().status, 'ok');
    machine.driver.read(SECTORS + 1, []);
    assert.equal(machine.run().status, 'ioerr');
    assert.deepEqual(machine.storage.log, []);
  });

  it('V3: takes requests through indirect tables', () => {
    const machine = new Machine();
    const layout = layoutSplitQueue(0x20000, 4, { indirectCapacity: 4 });
    const ring = new SplitDriverQueue(machine.memory, layout, { ...layout, eventIndex: true });
    const driver = new BlockDriver(machine.memory, ring, layout.end, { indirect: true });
    const queue = new SplitQueue(machine.memory, layout, { indirect: true, eventIndex: true });
    for (let i = 0; i < 4; i++) driver.read(i, [{ gpa: DATA + i * 512, length: 512 }]);
    assert.throws(() => driver.flush(), { code: 'queue-full' });
    driver.queue.publish();
    assert.deepEqual(serviceQueue(machine.device, 0, queue), { notify: true, more: false });
    assert.equal(driver.queue.fetchUsed(), 4);
    while (driver.collect() !== undefined);
    assert.deepEqual(machine.memory.readBytes(DATA, 2048), machine.storage.bytes.slice(0, 2048));
  });
});

describe('block device: limits', () => {
  it('V3: sectors outside the disk, wherever they are', () => {
    const machine = new Machine();
    for (const [sector, length] of [
      [SECTORS, 512],
      [SECTORS - 1, 1024],
      [0, (SECTORS + 1) * 512],
      [2 ** 32, 512],
      [2 ** 53, 512],
      [2 ** 63, 512],
      [2 ** 64 - 2048, 512],
    ] as const) {
      machine.driver.read(sector, [{ gpa: DATA, length }]);
      assert.deepEqual(machine.run(), { status: 'ioerr', written: 0 }, `${sector}`);
      machine.driver.write(sector, [{ gpa: DATA, length }]);
      assert.deepEqual(machine.run(), { status: 'ioerr', written: 1 }, `${sector}`);
    }
    // 2^55 sectors: times 512 it is 2^64, which is 0 where it wraps.
    machine.driver.read(2 ** 55, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ioerr');
    assert.deepEqual(machine.storage.log, []);
    machine.driver.read(SECTORS - 1, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ok');
  });

  it('V3: the highest sector number there is', () => {
    const machine = new Machine();
    machine.header(DATA, 0, 0xffff_ffff_ffff_ffffn);
    machine.raw(
      [{ gpa: DATA, length: 16 }],
      [
        { gpa: DATA + 0x1000, length: 512 },
        { gpa: DATA + 0x2000, length: 1 },
      ],
    );
    assert.equal(machine.memory.readU8(DATA + 0x2000), 1);
  });

  it('V3: lengths that are not whole sectors', () => {
    const machine = new Machine();
    for (const length of [1, 511, 513, 1023]) {
      machine.driver.read(0, [{ gpa: DATA, length }]);
      assert.deepEqual(machine.run(), { status: 'ioerr', written: 0 });
      machine.driver.write(0, [{ gpa: DATA, length }]);
      assert.deepEqual(machine.run(), { status: 'ioerr', written: 1 });
    }
    assert.deepEqual(machine.storage.log, []);
  });

  it('V3: a last sector that is not whole is not there', () => {
    const machine = new Machine({ size: 1023 });
    assert.equal(machine.device.capacity, 1);
    machine.driver.read(1, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ioerr');
  });

  it('V3: requests longer than the configuration invites', () => {
    const machine = new Machine({ segMax: 2, sizeMax: 1024 });
    assert.equal(machine.device.maxChainLength, 4);
    machine.driver.read(0, [{ gpa: DATA, length: 2048 }]);
    assert.equal(machine.run().status, 'ok');
    machine.driver.read(0, [{ gpa: DATA, length: 2560 }]);
    assert.equal(machine.run().status, 'ioerr');
  });

  it('V3: a read-only disk refuses to be written', () => {
    for (const options of [{ readOnly: true }, { storage: new MemoryStorage(8192, { readOnly: true }) }]) {
      const machine = new Machine(options);
      assert.notEqual(machine.device.features & VIRTIO_BLK_F_RO, 0n);
      machine.driver.write(0, [{ gpa: DATA, length: 512 }]);
      assert.deepEqual(machine.run(), { status: 'ioerr', written: 1 });
      machine.driver.read(0, [{ gpa: DATA, length: 512 }]);
      assert.equal(machine.run().status, 'ok');
      machine.driver.flush();
      assert.equal(machine.run().status, 'ok');
    }
    // Whether or not the driver has heard of it.
    const deaf = new Machine({ readOnly: true, negotiate: VIRTIO_F_VERSION_1 });
    deaf.driver.write(0, [{ gpa: DATA, length: 512 }]);
    assert.equal(deaf.run().status, 'ioerr');
    assert.deepEqual(deaf.storage.log, []);
  });

  it('V3: stops after a budget of chains or bytes, and says that there is more', () => {
    for (const [batch, perRound] of [
      [{ chains: 3 }, 3],
      [{ bytes: 1024 }, 2],
    ] as const) {
      const machine = new Machine({ batch });
      for (let i = 0; i < 7; i++) machine.driver.read(i, [{ gpa: DATA, length: 512 }]);
      machine.driver.queue.publish();
      let left = 7;
      while (left > 0) {
        const done = Math.min(perRound, left);
        left -= done;
        assert.deepEqual(serviceQueue(machine.device, 0, machine.queue), { notify: true, more: left > 0 });
        assert.equal(machine.driver.queue.fetchUsed(), done);
        while (machine.driver.collect() !== undefined);
      }
      assert.deepEqual(serviceQueue(machine.device, 0, machine.queue), { notify: false, more: false });
    }
  });
});

describe('block device: framing', () => {
  it('V3: any cuts of header, data and status', () => {
    const machine = new Machine();
    machine.header(DATA, 0, 5n);
    const pieces = (gpa: number, lengths: readonly number[]): GuestBuffer[] => {
      let at = gpa;
      // Apart from each other, so that nothing is joined.
      return lengths.map((length) => {
        const piece = { gpa: at, length };
        at += length + 64;
        return piece;
      });
    };
    for (const headerCut of [[16], [1, 15], [4, 4, 8], [8, 7, 1]]) {
      for (const dataCut of [[513], [512, 1], [1, 511, 1], [500, 13], [256, 256, 1]]) {
        const out = pieces(0x20000, headerCut);
        let from = DATA;
        for (const { gpa, length } of out) {
          machine.memory.writeAt(gpa, machine.memory.readBytes(from, length));
          from += length;
        }
        const into = pieces(0x30000, dataCut);
        for (const { gpa, length } of into) machine.memory.fillAt(gpa, 0xff, length);
        assert.equal(machine.raw(out, into)?.written, 513);
        const all = into.flatMap(({ gpa, length }) => [...machine.memory.readBytes(gpa, length)]);
        assert.deepEqual(all, [...machine.storage.bytes.slice(5 * 512, 6 * 512), 0]);
      }
    }
  });

  it('V3: header and data of a write in one descriptor', () => {
    const machine = new Machine();
    machine.header(DATA, 1, 1n);
    machine.memory.fillAt(DATA + 16, 0x77, 512);
    assert.equal(machine.raw([{ gpa: DATA, length: 528 }], [{ gpa: DATA + 0x1000, length: 1 }])?.written, 1);
    assert.equal(machine.storage.bytes[512], 0x77);
  });

  it('V3: a header that is too short is answered with IOERR, and the ring goes on', () => {
    const machine = new Machine();
    machine.memory.writeU8(0x20000, 0xff);
    assert.equal(machine.raw([{ gpa: DATA, length: 15 }], [{ gpa: 0x20000, length: 1 }])?.written, 1);
    assert.equal(machine.memory.readU8(0x20000), 1);
    const [error] = machine.errors;
    assert(isQueueError(error) && error.code === 'chain-too-short');
    assert.equal(machine.device.needsReset, false);
    machine.driver.flush();
    assert.equal(machine.run().status, 'ok');
  });

  it('V3: no room for a status byte: what was done is completed, and the device needs a reset', () => {
    const machine = new Machine();
    machine.header(DATA, 1, 0n);
    const before = machine.driver.write(0, [{ gpa: DATA, length: 512 }]);
    machine.driver.queue.add([{ gpa: DATA, length: 528 }], []);
    machine.driver.write(1, [{ gpa: DATA, length: 512 }]);
    machine.driver.queue.publish();
    assert.deepEqual(serviceQueue(machine.device, 0, machine.queue), { notify: true, more: false });
    assert.equal(machine.driver.queue.fetchUsed(), 1);
    assert.equal(machine.driver.collect()?.id, before);
    assert.equal(machine.device.needsReset, true);
    assert.equal(machine.errors.length, 1);
    const [error] = machine.errors;
    assert(isQueueError(error));
    assert.equal(error.code, 'chain-too-short');
    assert.equal(error.section, '5.2.6');

    // Silence until the reset.
    assert.deepEqual(serviceQueue(machine.device, 0, machine.queue), { notify: false, more: false });
    assert.equal(machine.device.processQueue(0, machine.queue), false);
    assert.equal(machine.errors.length, 1);
    assert.deepEqual(machine.storage.log, ['writev 0 512']);
    machine.device.reset();
    assert.equal(machine.device.needsReset, false);
  });
});

describe('block device: failures', () => {
  it('V3: an error of the storage is IOERR to the guest, and itself to the host', () => {
    const machine = new Machine();
    machine.storage.failure = new Error('the disk is on fire');
    machine.driver.read(0, [{ gpa: DATA, length: 512 }]);
    assert.deepEqual(machine.run(), { status: 'ioerr', written: 0 });
    machine.driver.write(0, [{ gpa: DATA, length: 512 }]);
    assert.deepEqual(machine.run(), { status: 'ioerr', written: 1 });
    machine.driver.flush();
    assert.deepEqual(machine.run(), { status: 'ioerr', written: 1 });
    assert.deepEqual(machine.errors, Array(3).fill(machine.storage.failure));
    machine.storage.failure = undefined;
    machine.driver.read(0, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ok');
    assert.equal(machine.device.needsReset, false);
  });

  it('V3: a malformed ring needs a reset, wherever it is found', () => {
    for (const where of ['before', 'while enabling notifications'] as const) {
      const machine = new Machine();
      const breakRing = (): void =>
        machine.memory.writeU16(layoutSplitQueue(0, 64).availableRing + 2, 0x4000);
      if (where === 'before') breakRing();
      else {
        machine.driver.flush();
        machine.driver.queue.publish();
        machine.storage.flush = breakRing;
      }
      const { more } = serviceQueue(machine.device, 0, machine.queue);
      assert.equal(more, false);
      assert.equal(machine.device.needsReset, true);
      const [error] = machine.errors;
      assert(isQueueError(error) && error.code === 'avail-index');
    }
  });

  it('V3: a request outside guest memory needs a reset', () => {
    const machine = new Machine();
    machine.driver.read(0, [{ gpa: 0x100_0000, length: 512 }]);
    machine.driver.queue.publish();
    serviceQueue(machine.device, 0, machine.queue);
    const [error] = machine.errors;
    assert(isQueueError(error) && error.code === 'buffer-unmapped' && error.section === '2.7.5');
    assert.equal(machine.device.needsReset, true);
  });

  it("V3: servicing a queue that the host closed is the host's error", () => {
    const machine = new Machine();
    machine.queue.close();
    assert.throws(() => serviceQueue(machine.device, 0, machine.queue), { code: 'closed' });
  });
});

describe('block device: features and configuration', () => {
  it('V3: offers what it has, and takes nothing else', () => {
    const { device } = new Machine({ queueCount: 4 });
    assert.equal(device.deviceType, 2);
    assert.equal(device.queueCount, 4);
    for (const bit of [
      VIRTIO_F_VERSION_1,
      VIRTIO_F_EVENT_IDX,
      VIRTIO_F_INDIRECT_DESC,
      VIRTIO_BLK_F_FLUSH,
      VIRTIO_BLK_F_MQ,
    ]) {
      assert.notEqual(device.features & bit, 0n);
    }
    assert.equal(device.features & VIRTIO_BLK_F_RO, 0n);
    assert.equal(new Machine().device.features & VIRTIO_BLK_F_MQ, 0n);
    assert.throws(() => device.acceptFeatures(device.features | (1n << 40n)), { code: 'invalid' });
  });

  it('V3: without the flush feature every write is stable when it is done (5.2.6.2)', () => {
    const machine = new Machine({ negotiate: VIRTIO_F_VERSION_1 });
    machine.driver.write(0, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ok');
    assert.deepEqual(machine.storage.log, ['writev 0 512', 'flush']);
    machine.device.acceptFeatures(VIRTIO_F_VERSION_1 | VIRTIO_BLK_F_FLUSH);
    machine.driver.write(0, [{ gpa: DATA, length: 512 }]);
    machine.run();
    assert.equal(machine.storage.log.length, 3);
    machine.device.reset();
    machine.driver.write(0, [{ gpa: DATA, length: 512 }]);
    machine.run();
    assert.equal(machine.storage.log.at(-1), 'flush');
  });

  it('V3: its configuration space, at any offset', () => {
    const { device } = new Machine({
      queueCount: 3,
      segMax: 14,
      sizeMax: 0x20000,
      blockSize: 4096,
      topology: { physicalBlockExponent: 3, alignmentOffset: 1, minIoSize: 8, optIoSize: 256 },
    });
    const all = new Uint8Array(device.configSize + 8).fill(0xff);
    device.readConfig(0, all);
    const view = new DataView(all.buffer);
    assert.equal(view.getBigUint64(0, true), BigInt(SECTORS));
    assert.equal(view.getUint32(8, true), 0x20000);
    assert.equal(view.getUint32(12, true), 14);
    assert.equal(view.getUint32(16, true), 0);
    assert.equal(view.getUint32(20, true), 4096);
    assert.deepEqual(all.slice(24, 32), new Uint8Array([3, 1, 8, 0, 0, 1, 0, 0]));
    assert.equal(view.getUint16(34, true), 3);
    assert(all.subarray(36).every((byte) => byte === 0));
    for (const [offset, length] of [
      [12, 4],
      [0, 1],
      [20, 100],
      [59, 2],
      [60, 4],
      [1000, 4],
    ] as const) {
      const part = new Uint8Array(length).fill(0xff);
      device.readConfig(offset, part);
      const expected = new Uint8Array(length);
      expected.set(all.subarray(offset, offset + length));
      assert.deepEqual(part, expected);
    }
    device.writeConfig(0, new Uint8Array(60).fill(0xff));
    const again = new Uint8Array(all.length);
    device.readConfig(0, again);
    assert.deepEqual(again, all);
  });

  it('V3: refuses options out of range', () => {
    const storage: BlockStorage = new MemoryStorage(512);
    for (const options of [
      { queueCount: 0 },
      { queueCount: 65536 },
      { segMax: 0 },
      { segMax: 32767 },
      { sizeMax: 511 },
      { sizeMax: 2 ** 32 },
      { blockSize: 256 },
      { blockSize: 768 },
      { batch: { chains: 0 } },
      { batch: { bytes: 0.5 } },
      { topology: { physicalBlockExponent: 256 } },
      { topology: { alignmentOffset: -1 } },
      { topology: { minIoSize: 65536 } },
      { topology: { optIoSize: 2 ** 32 } },
    ]) {
      assert.throws(
        () => new BlockDevice({ storage, ...options }),
        { code: 'invalid' },
        JSON.stringify(options),
      );
    }
  });

  it('V3: follows a disk that grows', () => {
    let size = 512;
    const storage: BlockStorage = {
      get size() {
        return size;
      },
      readOnly: false,
      readv: () => undefined,
      writev: () => undefined,
      flush: () => undefined,
    };
    const machine = new Machine({ storage });
    machine.driver.read(1, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ioerr');
    size = 1024;
    machine.driver.read(1, [{ gpa: DATA, length: 512 }]);
    assert.equal(machine.run().status, 'ok');
  });
});

describe('block driver', () => {
  it('V3: a request that comes back without a status is an error, and its slot is free again', () => {
    const machine = new Machine();
    const silent = new SplitQueue(machine.memory, machine.queue.layout);
    machine.driver.flush();
    machine.driver.queue.publish();
    silent.fetchAvailable();
    silent.pop(new DescriptorChain());
    silent.push(0, 0);
    silent.publish();
    machine.driver.queue.fetchUsed();
    assert.throws(() => machine.driver.collect(), { code: 'block-status', value: 0xff });
    for (let i = 0; i < 32; i++) machine.driver.flush();
  });

  it('V3: a request that comes back with a length it cannot have is an error, and its slot is free again', () => {
    const machine = new Machine();
    const liar = new SplitQueue(machine.memory, machine.queue.layout);
    const chain = new DescriptorChain();
    for (let i = 0; i < 200; i++) {
      machine.driver.flush();
      machine.driver.queue.publish();
      liar.fetchAvailable();
      assert(liar.pop(chain));
      liar.push(chain.head, 2);
      liar.publish();
      machine.driver.queue.fetchUsed();
      assert.throws(() => machine.driver.collect(), { code: 'used-length' });
    }
  });

  it('V3: needs memory for its requests', () => {
    const memory = GuestMemory.allocate(0x1000);
    const queue = new SplitDriverQueue(memory, layoutSplitQueue(0, 8));
    assert.throws(() => new BlockDriver(memory, queue, 0xff8), { code: 'invalid' });
    assert.equal(BlockDriver.requestAreaSize(8), 256);
  });
});

describe('disk in memory', () => {
  it('V3: refuses what is not wholly inside', () => {
    const disk = new MemoryStorage(1024);
    const two = [new Uint8Array(512), new Uint8Array(513)];
    assert.throws(() => disk.readv(0, two), { code: 'invalid' });
    assert.throws(() => disk.writev(0, two), { code: 'invalid' });
    assert.throws(() => disk.readv(-1, []), { code: 'invalid' });
    disk.flush();
  });
});
