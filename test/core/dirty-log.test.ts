import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DirtyLog } from '../../src/core/dirty-log.ts';
import { GuestMemory, heap, trackDirty } from '../../src/core/index.ts';
import { withGlobals } from '../support/engine.ts';
import { refused } from '../support/refused.ts';

const PAGE = 0x1000;

describe('M12: a log of written pages', () => {
  it('M12 E: of nothing, and of a size that is none, is refused', () => {
    for (const size of [0, -1, Number.NaN])
      refused(() => DirtyLog.create(size), { code: 'invalid', operation: 'make a dirty log' });
  });

  it('M12: an empty view holds no page, not even the one that it lies in', () => {
    for (const shared of [false, true]) {
      const log = DirtyLog.create(4 * PAGE, { shared });
      log.hold(PAGE + 16, 0);
      assert.deepEqual(log.drain(), []);
      log.unhold(PAGE + 16, 0);
      assert.deepEqual(log.drain(), []);
    }
  });

  it('M12 S2: a thread that gets the log sees the views that are out, and that none is out any more', () => {
    const log = DirtyLog.create(4 * PAGE, { shared: true });
    const there = new DirtyLog(log.share());
    log.hold(PAGE, 2 * PAGE);
    log.hold(PAGE, 1);
    assert.deepEqual([...there.share().holds], [2, 0, 2, 1, 0]);
    assert.deepEqual(there.drain(), [PAGE, 2 * PAGE]);
    log.unhold(PAGE, 2 * PAGE);
    log.unhold(PAGE, 1);
    assert.deepEqual([...there.share().holds], [0, 0, 0, 0, 0]);
    assert.deepEqual(there.drain(), [PAGE, 2 * PAGE]);
    assert.deepEqual(there.drain(), []);
  });

  it('M12: every mark is there where a page has no shared memory', async () => {
    await withGlobals({ SharedArrayBuffer: undefined }, () => {
      const log = DirtyLog.create(0x100 * PAGE);
      for (const page of [0, 31, 32, 0xff]) log.markOne(page * PAGE);
      log.mark(40 * PAGE, 30 * PAGE);
      log.hold(2 * PAGE, 1);
      const pages = [0, 2, 31, 32, ...Array.from({ length: 30 }, (_, i) => 40 + i), 0xff];
      assert.deepEqual(
        log.drain(),
        pages.map((page) => page * PAGE),
      );
    });
  });

  it('M12: a writable view is in every answer until it is released, and in one more; a view to read in none', () => {
    const tracking = trackDirty(GuestMemory.fromRegions([{ start: 0, backing: heap(4 * PAGE) }]));
    const { memory } = tracking;
    const view = memory.view(PAGE + 8, PAGE, 'write');
    const held = [{ gpa: PAGE, length: 2 * PAGE }];
    for (let i = 0; i < 3; i++) assert.deepEqual(tracking.drain(), held);
    view.release();
    view.release();
    assert.deepEqual(tracking.drain(), held);
    assert.deepEqual(tracking.drain(), []);
    memory.view(PAGE, PAGE, 'read').release();
    assert.deepEqual(tracking.drain(), []);
  });

  it('M12 M16: regions that come later stand where their addresses are', () => {
    const tracking = trackDirty(GuestMemory.fromRegions([{ start: 8 * PAGE, backing: heap(PAGE) }]));
    const memory = tracking.memory
      .insertRegion({ start: 2 * PAGE, backing: heap(PAGE) })
      .insertRegion({ start: 4 * PAGE, backing: heap(2 * PAGE) })
      .insertRegion({ start: 9 * PAGE, backing: heap(PAGE) });
    for (const page of [9, 4, 8, 2]) memory.writeU8(page * PAGE, 1);
    assert.deepEqual(tracking.drain(), [
      { gpa: 2 * PAGE, length: PAGE },
      { gpa: 4 * PAGE, length: PAGE },
      { gpa: 8 * PAGE, length: 2 * PAGE },
    ]);
  });
});
