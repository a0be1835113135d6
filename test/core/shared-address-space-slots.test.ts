import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory, SharedAddressSpace } from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { over, PAGE, resolves } from './carved-space.ts';

describe('S2: what Workers were lent', () => {
  it('S2: quiesced waits for what memory() returned, until the next memory() or idle()', async () => {
    const { space, there, close } = over(2, 2);
    const [one, two] = there;
    assert(one !== undefined && two !== undefined);
    assert.equal(await resolves(space.quiesced()), true, 'nobody has asked yet');
    one.memory();
    two.memory();
    const generation = await space.update((memory) => memory.removeRegion(PAGE, PAGE));
    assert.equal(generation, space.generation);
    assert.deepEqual(space.holders(generation), [0, 1]);
    const quiesced = space.quiesced(generation);
    assert.equal(await resolves(quiesced), false);
    one.memory();
    assert.deepEqual(space.holders(generation), [1]);
    two.idle();
    assert.deepEqual(space.holders(generation), []);
    await quiesced;
    assert.equal(two.memory().regions.length, 1);
    close();
  });

  it('S2: a pin keeps a map, counted, released at most once', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    const first = one.pin();
    const second = one.pin();
    const removed = await space.update((memory) => memory.removeRegion(PAGE, PAGE));
    const third = one.pin();
    const emptied = await space.update(() => GuestMemory.empty());
    assert.equal(one.memory().regions.length, 0);
    assert.deepEqual(
      [first, second, third].map(({ memory }) => memory.regions.length),
      [2, 2, 1],
    );
    first.release();
    first.release();
    assert.deepEqual(space.holders(removed), [0]);
    second.release();
    assert.deepEqual(space.holders(removed), []);
    assert.deepEqual(space.holders(emptied), [0]);
    one.idle();
    assert.deepEqual(space.holders(emptied), [0]);
    third.release();
    await space.quiesced(emptied);
    close();
  });

  it('S2: an evicted Worker holds nothing, and is told so when it looks', async () => {
    const { space, there, close } = over(2, 1);
    const [one] = there;
    assert(one !== undefined);
    const pin = one.pin();
    const emptied = await space.update(() => GuestMemory.empty());
    const quiesced = space.quiesced(emptied);
    assert.equal(await resolves(quiesced), false);
    space.evict(0);
    space.evict(0);
    await quiesced;
    refused(() => one.memory(), { code: 'closed' });
    const heir = SharedAddressSpace.attach(space.share());
    heir.memory();
    const generation = await space.update((memory) => memory);
    pin.release();
    one.idle();
    one.close();
    assert.deepEqual(space.holders(generation), [0], "the slot is another one's by now");
    heir.close();
    assert.deepEqual(space.holders(generation), []);
    refused(() => heir.memory(), { code: 'closed' });
    close();
  });
});
