import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  callbacks,
  GuestMemory,
  type GuestMemoryErrorCode,
  heap,
  isGuestMemoryError,
  SharedAddressSpace,
  settle,
  share,
  shared,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { HIGH, over, PAGE, resolves, turn, until } from './carved-space.ts';

function code(wanted: GuestMemoryErrorCode): (error: unknown) => boolean {
  return (error) => isGuestMemoryError(error) && error.code === wanted;
}

describe('S2: one map seen from many threads', () => {
  it('S2: a region carved from a pool is seen at the next memory()', async () => {
    const { space, there, carve, close } = over(4, 2);
    const before = there.map((one) => one.memory());
    await space.update((memory) =>
      memory.insertRegion({ ...carve(HIGH, 2), access: 'r' }).removeRegion(PAGE, PAGE),
    );
    space.memory().writeU8(8, 7);
    for (const [i, one] of there.entries()) {
      const memory = one.memory();
      assert.equal(memory.name, 'ram');
      assert.deepEqual(
        memory.regions.map(({ start, size, kind, access }) => ({ start, size, kind, access })),
        [
          { start: 0, size: PAGE, kind: 'bytes', access: 'rw' },
          { start: HIGH, size: PAGE, kind: 'bytes', access: 'r' },
        ],
      );
      assert.equal(memory.readU8(8), 7);
      assert.equal(one.memory(), memory);
      assert.equal(before[i]?.regions.length, 2);
      assert.equal(before[i]?.checkRange(HIGH, 1), false);
    }
    close();
  });

  it('S2: carved regions know the pool for one and the same memory', async () => {
    const { space, there, carve, close } = over(4, 1);
    const [one] = there;
    assert(one !== undefined);
    await space.update((memory) => memory.insertRegion(carve(HIGH, 0)));
    const memory = one.memory();
    for (let i = 0; i < PAGE; i++) memory.writeU8(i, i >> 4);
    memory.copyFrom(memory, 0, HIGH + 0x10, PAGE - 0x10);
    assert.equal(memory.readU8(PAGE - 1), (PAGE - 0x11) >> 4);
    close();
  });

  it('S2: one with a buffer of its own is seen once it has come; until then the whole map before', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    const before = one.memory();
    await space.update((memory) =>
      memory.removeRegion(PAGE, PAGE).insertRegion({ start: HIGH, backing: shared(PAGE) }),
    );
    assert.equal(one.memory(), before);
    assert.equal(one.memory(), before);
    assert.deepEqual(space.holders(), [0]);
    await until(() => one.memory() !== before);
    const memory = one.memory();
    assert.equal(memory.checkRange(PAGE, 1), false);
    memory.writeU8(HIGH, 7);
    assert.equal(space.memory().readU8(HIGH), 7);
    assert.deepEqual(space.holders(), []);
    close();
  });

  it('S2: where nothing is lent any more, no map before is handed out: it is pending', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    one.memory();
    one.idle();
    await space.update((memory) => memory.insertRegion({ start: HIGH, backing: shared(PAGE) }));
    await space.quiesced();
    refused(() => one.memory(), { code: 'pending', memory: 'ram' });
    const memory = await settle(() => one.memory());
    assert.equal(memory.readU8(HIGH), 0);
    close();
  });

  it('S2: a region that came and went meanwhile is not missed', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    one.memory();
    await space.update((memory) => memory.insertRegion({ start: HIGH, backing: shared(PAGE) }));
    await space.update((memory) => memory.removeRegion(HIGH, PAGE));
    assert.equal(one.memory().checkRange(HIGH, 1), false);
    assert.deepEqual(space.holders(), []);
    await turn();
    assert.equal(one.memory().regions.length, 2);
    await space.update((memory) => memory.insertRegion({ start: HIGH, backing: shared(PAGE) }));
    await until(() => one.memory().checkRange(HIGH, 1));
    close();
  });

  it('S2: a region whose message is here before its table is kept', async () => {
    const { space, carve, close } = over(4, 0);
    const { port1, port2 } = new MessageChannel();
    const handle = space.share();
    const one = SharedAddressSpace.attach({ ...handle, port: port2 });
    one.memory();
    const backing = shared(PAGE);
    const [region] = share(GuestMemory.fromRegions([{ start: HIGH, backing }])).regions;
    port1.postMessage({ id: 4, region });
    await turn();
    await turn();
    await space.update((memory) => memory.insertRegion(carve(2 * HIGH, 2)));
    assert.equal(one.memory().regions.length, 3);
    await space.update((memory) => memory.insertRegion({ start: HIGH, backing }));
    await until(() => one.memory().regions.length === 4);
    one.memory().writeU8(HIGH, 7);
    assert.equal(space.memory().readU8(HIGH), 7);
    one.close();
    handle.port.close();
    port1.close();
    close();
  });

  it('S2: whoever attaches later sees the map of then, and what is on its way', async () => {
    const { space, close } = over(2, 0);
    await space.update((memory) => memory.insertRegion({ start: HIGH, backing: shared(PAGE) }));
    const handle = space.share();
    await space.update((memory) => memory.insertRegion({ start: 2 * HIGH, backing: shared(PAGE) }));
    const late = SharedAddressSpace.attach(handle);
    const memory = await settle(() => late.memory());
    assert.deepEqual(
      memory.regions.map(({ start }) => start),
      [0, PAGE, HIGH, 2 * HIGH],
    );
    late.close();
    close();
  });

  it('S2: rights and logs go with a region', async () => {
    const { space, there, carve, close } = over(4, 1);
    const [one] = there;
    assert(one !== undefined);
    const before = one.memory();
    const starting = space.startTracking({ pageSize: PAGE });
    assert.equal(await resolves(starting), false, 'the old map is still in use');
    await until(() => one.memory() !== before);
    const tracking = await starting;
    one.memory().writeU8(PAGE, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: PAGE, length: PAGE }]);
    await space.update((memory) => memory.insertRegion(carve(HIGH, 2)));
    await until(() => one.memory().checkRange(HIGH, 1));
    one.memory().writeU8(HIGH, 1);
    assert.deepEqual(tracking.drain(), [{ gpa: HIGH, length: PAGE }]);
    close();
  });

  it('S1 S2: an exception inside update changes nothing', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    const here = space.memory();
    const seen = one.memory();
    const generation = space.generation;
    await assert.rejects(
      space.update(() => {
        throw new RangeError('no');
      }),
      RangeError,
    );
    await assert.rejects(
      space.update((memory) => {
        const inserted = memory.insertRegion({ start: HIGH, backing: shared(PAGE) });
        return inserted.insertRegion({ start: 2 * HIGH, backing: heap(PAGE) });
      }),
      code('unsupported'),
    );
    assert.equal(space.memory(), here);
    assert.equal(space.generation, generation);
    assert.equal(one.memory(), seen);
    await space.update((memory) => memory.removeRegion(PAGE, PAGE));
    assert.equal(one.memory().regions.length, 1);
    close();
  });

  it('S2: an update is exclusive', async () => {
    const { space, close } = over(2, 0);
    let inner: Promise<unknown> = Promise.resolve();
    await space.update((memory) => {
      inner = space.update((other) => other.removeRegion(PAGE, PAGE));
      inner.catch(() => undefined);
      return memory.removeRegion(0, PAGE);
    });
    await assert.rejects(inner, code('locked'));
    assert.equal(space.memory().regions.length, 1);
    await Promise.all(
      [0, 1, 2].map((i) =>
        space.update((m) => m.insertRegion({ start: HIGH * (i + 1), backing: shared(PAGE) })),
      ),
    );
    assert.equal(space.memory().regions.length, 4);
    close();
  });

  it('S2: a full table and too many Workers are refused', async () => {
    const { space, there, close } = over(2, 1, { maxRegions: 2, maxWorkers: 2 });
    const [one] = there;
    assert(one !== undefined);
    const insert = space.update((memory) => memory.insertRegion({ start: HIGH, backing: shared(PAGE) }));
    await assert.rejects(insert, code('too-large'));
    assert.equal(one.memory().regions.length, 2);
    assert.equal(space.memory().regions.length, 2);
    space.share();
    refused(() => space.share(), { code: 'too-large' });
    one.close();
    assert.equal(space.share().slot, 0);
    close();
    refused(() => over(2, 0, { maxRegions: 1 }), { code: 'too-large' });
  });

  it('S2: what cannot be shared is refused at once', () => {
    const uart = callbacks({ size: 8, read: (_, dest) => dest.fill(0) });
    refused(() => new SharedAddressSpace(GuestMemory.from(uart, { name: 'bus' })), {
      code: 'unsupported',
      memory: 'bus',
    });
    refused(() => new SharedAddressSpace(GuestMemory.empty(), { pools: [heap(PAGE)] }), {
      code: 'unsupported',
    });
    refused(() => new SharedAddressSpace(GuestMemory.empty(), { pools: [uart] }), { code: 'unsupported' });
    for (const maxRegions of [0, -1, 1.5, Number.NaN, 2 ** 40])
      refused(() => new SharedAddressSpace(GuestMemory.empty(), { maxRegions }), { code: 'invalid' });
    refused(() => new SharedAddressSpace(GuestMemory.empty(), { maxWorkers: 0 }), { code: 'invalid' });
  });

  it('S2: closed is closed', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    const memory = one.memory();
    close();
    refused(() => space.share(), { code: 'closed' });
    await assert.rejects(
      space.update((m) => m),
      code('closed'),
    );
    assert.equal(memory.readU8(0), 0);
  });

  it('S2: a handle without its port is refused', () => {
    const { space, close } = over(2, 0);
    const { port, ...rest } = space.share();
    refused(() => SharedAddressSpace.attach({ ...rest, port: Object.create(null) }), { code: 'invalid' });
    port.close();
    close();
  });

  it('S2: hundreds of generations, a table of many rows', async () => {
    const { space, there, carve, close } = over(130, 1);
    const [one] = there;
    assert(one !== undefined);
    for (let i = 2; i < 130; i++) {
      await space.update((memory) => memory.insertRegion(carve(HIGH * i, i)));
      assert.equal(one.memory().regions.length, i + 1);
      one.memory().writeU8(HIGH * i, i);
    }
    for (let i = 2; i < 130; i++) assert.equal(space.memory().readU8(HIGH * i), i);
    for (let i = 2; i < 130; i++) {
      await space.update((memory) => memory.removeRegion(HIGH * i, PAGE));
      assert.equal(one.memory().checkRange(HIGH * i, 1), false);
    }
    close();
  });
});
