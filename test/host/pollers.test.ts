import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BlockingPoller,
  EventFd,
  EventLoopPoller,
  Memfd,
  type Poller,
  UnixSocket,
} from '../../src/host/index.ts';
import { openDescriptors } from './host.ts';

/** One contract, two pollers: `until` lets the poller work until it is called back. */
interface Subject {
  readonly poller: Poller;
  until(start: (done: () => void) => void): Promise<void>;
}

function onEventLoop(): Subject {
  return { poller: new EventLoopPoller(), until: (start) => new Promise((resolve) => start(resolve)) };
}

function blocking(): Subject {
  const poller = new BlockingPoller();
  return {
    poller,
    async until(start) {
      start(() => poller.stop());
      poller.run();
    },
  };
}

for (const [name, make] of Object.entries({ EventLoopPoller: onEventLoop, BlockingPoller: blocking })) {
  describe(name, () => {
    it('H1: calls back for an eventfd again and again until it is consumed', async () => {
      const { poller, until } = make();
      const event = EventFd.create();
      let calls = 0;
      event.signal();
      await until((done) => {
        const watch = poller.add(event.fd, { readable: true }, () => {
          calls++;
          if (calls < 3) return;
          event.consume();
          watch.close();
          done();
        });
      });
      assert.equal(calls, 3);
      poller.close();
      event.close();
    });

    it('H1: tells readable from writable, and reports a hang-up as readable', async () => {
      const { poller, until } = make();
      const [a, b] = UnixSocket.pair();
      const seen: string[] = [];
      await until((done) => {
        const writable = poller.add(a.fd, { writable: true }, () => {
          seen.push('a writable');
          writable.close();
          a.send(Uint8Array.of(1));
        });
        const readable = poller.add(b.fd, { readable: true }, () => {
          const length = b.receive(new Uint8Array(4))?.length;
          seen.push(`b read ${length}`);
          if (length === 1) a.close();
          else {
            readable.close();
            done();
          }
        });
      });
      assert.deepEqual(seen, ['a writable', 'b read 1', 'b read 0']);
      poller.close();
      b.close();
    });

    it('H1: a watch that a callback closes is not called any more, also where its descriptor is used anew', async () => {
      const { poller, until } = make();
      const pairs = [EventFd.create(), EventFd.create()];
      const seen: number[] = [];
      await until((done) => {
        const watches = pairs.map((event, i) =>
          poller.add(event.fd, { readable: true }, () => {
            seen.push(i);
            // Both are ready in the same round: whoever comes first ends the other one.
            const other = 1 - i;
            watches[other]?.close();
            pairs[other]?.close();
            const fresh = EventFd.create();
            const watch = poller.add(fresh.fd, { readable: true }, () => seen.push(99));
            watches[i]?.close();
            setTimeoutOn(poller, 20, () => {
              watch.close();
              fresh.close();
              done();
            });
          }),
        );
        for (const event of pairs) event.signal();
      });
      assert.equal(seen.length, 1);
      assert.notEqual(seen[0], 99);
      poller.close();
      pairs[seen[0] ?? 0]?.close();
    });

    it('H1: every() ticks, and stops when closed', async () => {
      const { poller, until } = make();
      let ticks = 0;
      const start = performance.now();
      await until((done) => {
        const watch = poller.every(5, () => {
          ticks++;
          if (ticks < 4) return;
          watch.close();
          done();
        });
      });
      assert.equal(ticks, 4);
      assert(performance.now() - start >= 18);
      poller.close();
    });

    it('H2: reports descriptors that cannot be polled', async () => {
      const { poller, until } = make();
      const memfd = Memfd.create(1);
      const event = EventFd.create();
      const add = (fd: number): void => {
        poller.add(fd, { readable: true }, () => undefined);
      };
      assert.throws(() => add(memfd.fd), { name: 'HostError', code: 'system', errno: 'EPERM' });
      assert.throws(() => add(9999), { code: 'system', errno: 'EBADF' });
      add(event.fd);
      assert.throws(() => add(event.fd), { code: 'system', errno: 'EEXIST' });
      await until((done) => setTimeoutOn(poller, 5, done));
      poller.close();
      memfd.close();
      event.close();
    });

    it('H2: refuses to wait for nothing', () => {
      const { poller } = make();
      const event = EventFd.create();
      assert.throws(() => poller.add(event.fd, {}, () => undefined), { name: 'HostError', code: 'invalid' });
      poller.close();
      event.close();
    });
  });
}

describe('BlockingPoller', () => {
  it('H1: what a callback throws comes out of run(), and the poller goes on after', () => {
    const poller = new BlockingPoller();
    const event = EventFd.create();
    event.signal();
    let fail = true;
    poller.add(event.fd, { readable: true }, () => {
      if (!fail) return poller.stop();
      fail = false;
      throw new Error('planted');
    });
    assert.throws(() => poller.run(), /planted/);
    poller.run();
    poller.close();
    event.close();
  });

  it('H1: closing gives the descriptor back and refuses further use', () => {
    const before = openDescriptors();
    const poller = new BlockingPoller();
    const watch = poller.every(1, () => undefined);
    poller.close();
    poller.close();
    watch.close();
    assert.deepEqual(openDescriptors(), before);
    assert.throws(() => poller.run(), { name: 'HostError', code: 'closed' });
    assert.throws(() => poller.add(0, { readable: true }, () => undefined), { code: 'closed' });
  });
});

function setTimeoutOn(poller: Poller, milliseconds: number, then: () => void): void {
  const watch = poller.every(milliseconds, () => {
    watch.close();
    then();
  });
}
