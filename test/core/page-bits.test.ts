import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PageRights, type Rights } from '../../src/core/index.ts';
import { newPageWords, PageBits } from '../../src/core/page-bits.ts';
import { PageStates } from '../../src/core/page-states.ts';
import { withGlobals } from '../support/engine.ts';
import { refused } from '../support/refused.ts';

const PAGES = 100;

for (const shared of [false, true]) {
  describe(`bits of pages, ${shared ? 'shared' : 'private'}`, () => {
    it('M9 M12: set, clear, has, run and take do what a set of numbers does', () => {
      const page = fc.nat({ max: PAGES - 1 });
      const step = fc.record({ kind: fc.constantFrom('set', 'clear', 'take', 'run'), a: page, b: page });
      fc.assert(
        fc.property(fc.array(step, { size: 'max', maxLength: 40 }), (steps) => {
          const bits = new PageBits(newPageWords(PAGES, shared));
          const model = new Set<number>();
          for (const { kind, a, b } of steps) {
            const [first, last] = [Math.min(a, b), Math.max(a, b)];
            if (kind === 'set') {
              bits.set(first, last);
              for (let i = first; i <= last; i++) model.add(i);
            } else if (kind === 'clear') {
              bits.clear(first, last);
              for (let i = first; i <= last; i++) model.delete(i);
            } else if (kind === 'take') {
              const word = Math.floor(a / 32);
              let wanted = 0;
              for (let i = 0; i < 32; i++) if (model.delete(word * 32 + i)) wanted |= 1 << i;
              assert.equal(bits.take(word), wanted);
            } else {
              let wanted = 0;
              while (first + wanted < last && model.has(first + wanted)) wanted++;
              assert.equal(bits.run(first, last), wanted);
            }
          }
          for (let i = 0; i < PAGES; i++) assert.equal(bits.has(i), model.has(i), `page ${i}`);
        }),
      );
    });

    it('M9 M12: every range of 70 pages, at its exact borders', () => {
      for (let first = 0; first < 70; first++) {
        for (let last = first; last < 70; last++) {
          const bits = new PageBits(newPageWords(PAGES, shared));
          bits.set(first, last);
          assert.equal(bits.run(first, PAGES), last - first + 1);
          assert.equal((first > 0 && bits.has(first - 1)) || bits.has(last + 1), false);
          bits.set(0, PAGES - 1);
          bits.clear(first, last);
          assert.equal(bits.run(0, PAGES), first);
          assert.equal(bits.run(last + 1, PAGES), PAGES - 1 - last);
          assert.equal(bits.run(first, last + 1), 0);
        }
      }
    });

    it('M12: bits of one word are bits of no other, and words hold 32 pages each', () => {
      assert.equal(newPageWords(1, shared).length, 1);
      assert.equal(newPageWords(32, shared).length, 1);
      assert.equal(newPageWords(33, shared).length, 2);
      assert.equal(newPageWords(1, shared).buffer instanceof SharedArrayBuffer, shared);
      const bits = new PageBits(newPageWords(64, shared));
      bits.set(31, 32);
      assert.equal(bits.take(0), 1 << 31);
      assert.equal(bits.take(0), 0);
      assert.equal(bits.take(1), 1);
    });
  });
}

describe('rights of pages', () => {
  it('M9: each page has exactly the rights it was given last; reach ends at the first page without', () => {
    const size = 0x40_0123;
    const all: readonly Rights[] = ['', 'r', 'w', 'x', 'rw', 'rx', 'wx', 'rwx'];
    for (const initial of all) {
      for (const rights of all) {
        const pages = new PageRights(size, { initial });
        pages.set(0x2_1000, 0x3000, rights);
        assert.equal(pages.get(0x2_0fff), initial);
        assert.equal(pages.get(0x2_1000), rights);
        assert.equal(pages.get(0x2_3fff), rights);
        assert.equal(pages.get(0x2_4000), initial);
        for (const [access, letter] of [
          ['read', 'r'],
          ['write', 'w'],
          ['execute', 'x'],
        ] as const) {
          const before = initial.includes(letter);
          const inside = rights.includes(letter);
          const wanted = !before ? 0 : inside ? size - 0x10 : 0x2_0ff0;
          assert.equal(pages.reach(0x10, size - 0x10, access), wanted, `${initial} ${rights} ${access}`);
          assert.equal(pages.reach(0x2_1234, 0x10, access), inside ? 0x10 : 0);
          assert.equal(pages.reach(0x2_1234, 0, access), 0);
        }
      }
    }
  });

  it('M9: the last page may be a part of one; ranges outside or in mid-page are refused and change nothing', () => {
    const pages = new PageRights(0x2345, { initial: 'r' });
    pages.set(0x2000, 0x345, 'rw');
    assert.equal(pages.get(0x2344), 'rw');
    for (const [offset, length] of [
      [0x2000, 0x346],
      [0x800, 0x1000],
      [0, 0x800],
      [-0x1000, 0x1000],
      [0x3000, 0],
      [Number.NaN, 0x1000],
      [0, Number.NaN],
      [0.5, 0x1000],
      [0x1000, 2 ** 53],
    ] as const) {
      refused(() => pages.set(offset, length, ''), { code: 'invalid', operation: 'set page rights' });
      assert.deepEqual([pages.get(0), pages.get(0x1000), pages.get(0x2000)], ['r', 'r', 'rw']);
    }
    pages.set(0x1000, 0, '');
    assert.equal(pages.get(0x1000), 'r');
  });

  it('M9: what is given to no page changes none, at the border of a word too', () => {
    const pages = new PageRights(96 * 0x1000, { initial: 'r' });
    for (const page of [0, 31, 32, 64, 96]) pages.set(page * 0x1000, 0, 'rwx');
    for (const page of [0, 31, 32, 63, 64, 95]) assert.equal(pages.get(page * 0x1000), 'r');
  });

  it('M9 M14: 32 pages fill a word for each right, of which the reach sees the last bit', () => {
    for (const shared of [false, true]) {
      const whole = new PageRights(32 * 0x1000, { initial: 'rwx', shared });
      assert.equal(whole.share().buffer.byteLength, 12);
      for (const access of ['read', 'write', 'execute'] as const)
        assert.equal(whole.reach(0x123, 32 * 0x1000 - 0x123, access), 32 * 0x1000 - 0x123);
      assert.equal(new PageRights(32 * 0x1000 + 1, { shared }).share().buffer.byteLength, 24);
    }
  });

  it('M14: attached rights are the same bits where they are shared', () => {
    const mine = new PageRights(0x10_0000, { shared: true });
    const theirs = PageRights.attach(mine.share());
    theirs.set(0x5000, 0x2000, 'rx');
    assert.equal(mine.get(0x6fff), 'rx');
    assert.equal(mine.reach(0x5000, 0x5000, 'execute'), 0x2000);
    mine.set(0x5000, 0x1000, '');
    assert.equal(theirs.get(0x5000), '');
    assert(mine.share().buffer instanceof SharedArrayBuffer);
    assert(new PageRights(1).share().buffer instanceof ArrayBuffer);
  });

  it('M9: sizes that are none, and bits of another size, are refused', () => {
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 53])
      refused(() => new PageRights(size), { code: 'invalid' });
    refused(() => new PageRights(0x1000, { buffer: new ArrayBuffer(8) }), { code: 'invalid' });
    refused(() => new PageRights(2 ** 52), { code: 'too-large' });
  });
});

describe('states of pages that come on demand', () => {
  const [ABSENT, COMING, PRESENT] = [0, 1, 2];

  /** Three pages, of which another thread brings the second and has brought the third. */
  function states(shared: boolean): PageStates {
    const words = new Int32Array(shared ? new SharedArrayBuffer(12) : new ArrayBuffer(12));
    words.set([ABSENT, COMING, PRESENT]);
    return new PageStates(words);
  }

  /** Runs `fn` and lists what it waits for and what it tells; `wait` stands in for the engine's. */
  async function waits(fn: () => void, wait: () => string = () => 'timed-out'): Promise<unknown[]> {
    const calls: unknown[] = [];
    const spied = Object.create(Atomics, {
      wait: {
        value: (_: Int32Array, page: number, state: number, ms: number) => {
          calls.push(['wait', page, state, ms]);
          return wait();
        },
      },
      notify: { value: (_: Int32Array, page: number) => calls.push(['notify', page]) },
    });
    await withGlobals({ Atomics: spied }, fn);
    return calls;
  }

  const never = (): never => assert.fail('the page was brought twice');

  it('M10 M14: a page that another thread brings is waited for; one that is there, or of no other thread, is not', async () => {
    const shared = states(true);
    assert.deepEqual(await waits(() => shared.bring(1, never)), [['wait', 1, COMING, 10]]);
    assert.deepEqual(await waits(() => shared.bring(2, never)), []);
    const own = states(false);
    for (const page of [1, 2]) assert.deepEqual(await waits(() => own.bring(page, never)), []);
    assert.deepEqual([...own.words, ...shared.words], [ABSENT, COMING, PRESENT, ABSENT, COMING, PRESENT]);
  });

  it('M10 M14: who brings a page tells those who wait, and does not wait for itself', async () => {
    const shared = states(true);
    const calls = await waits(() =>
      shared.bring(0, () => {
        assert.equal(shared.words[0], COMING);
        shared.bring(0, never);
      }),
    );
    assert.deepEqual(calls, [['notify', 0]]);
    assert.deepEqual([shared.words[0], shared.count()], [PRESENT, 2]);
  });

  it('M10 M14: a page that could not be brought is told as well, and can be brought, or waited for, again', async () => {
    const shared = states(true);
    const failing = (): never => {
      throw new Error('no such page');
    };
    assert.deepEqual(await waits(() => assert.throws(() => shared.bring(0, failing), /no such page/)), [
      ['notify', 0],
    ]);
    assert.equal(shared.words[0], ABSENT);
    shared.words[0] = COMING;
    assert.deepEqual(await waits(() => shared.bring(0, never)), [['wait', 0, COMING, 10]]);
  });

  it('M10 M14: where a thread may not block it is pending; what else the wait throws is thrown', async () => {
    const shared = states(true);
    const mayNot = (): never => {
      throw new TypeError('this thread may not block');
    };
    await waits(() => {
      const error = refused(() => shared.bring(1, never), { code: 'pending' });
      assert(error.ready instanceof Promise);
    }, mayNot);
    const odd = new RangeError('no such word');
    const throwing = (): never => {
      throw odd;
    };
    await waits(() => assert.throws(() => shared.bring(1, never), odd), throwing);
  });
});
