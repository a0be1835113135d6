import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  callbacks,
  GuestMemory,
  GuestMemoryError,
  heap,
  isGuestMemoryError,
  pending,
  readPresent,
  settle,
} from '../../src/core/index.ts';
import { refused } from '../support/refused.ts';
import { sameBytes } from '../support/same-bytes.ts';

/** Pages that arrive one asynchronous step after they were first asked for. */
class RemotePages {
  readonly memory: GuestMemory;
  readonly asked: number[] = [];
  readonly #pages = new Map<number, Uint8Array>();

  constructor(options: { early?: boolean } = {}) {
    this.memory = GuestMemory.fromRegions(
      [
        { start: 0, backing: heap(0x1000) },
        {
          start: 0x1000,
          backing: callbacks({
            size: 0x4000,
            kind: 'remote',
            read: (offset, dest) => {
              for (let i = 0; i < dest.length; i++)
                dest[i] = this.#page(offset + i)[(offset + i) % 0x1000] ?? 0;
            },
            ...(options.early && {
              probe: (offset: number, length: number) => {
                for (let at = offset; at < offset + length; at += 0x1000 - (at % 0x1000)) this.#page(at);
                return length;
              },
            }),
          }),
        },
      ],
      { name: 'remote' },
    );
  }

  #page(offset: number): Uint8Array {
    const number = Math.floor(offset / 0x1000);
    const page = this.#pages.get(number);
    if (page !== undefined) return page;
    this.asked.push(number);
    throw pending(
      Promise.resolve().then(() => {
        this.#pages.set(number, new Uint8Array(0x1000).fill(number + 1));
      }),
    );
  }
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('it did not reject');
}

describe('M16: backings that have to wait', () => {
  for (const early of [false, true]) {
    const when = early ? 'when probed' : 'when read';
    it(`M16: an access that has to wait ${when} is pending, with the promise and the place`, () => {
      const { memory } = new RemotePages({ early });
      const error = refused(() => memory.readU32(0x1800), {
        code: 'pending',
        memory: 'remote',
        gpa: 0x1800,
        done: 0,
      });
      assert(error.ready instanceof Promise);
      refused(() => memory.readAt(0x0ff0, new Uint8Array(0x20)), {
        code: 'pending',
        failedAt: 0x1000,
        done: early ? 0 : 0x10,
      });
    });

    it(`M16: settle waits and runs the function again, page after page (${when})`, async () => {
      const remote = new RemotePages({ early });
      const bytes = await settle(() => remote.memory.readBytes(0x0800, 0x3000));
      const expected = new Uint8Array(0x3000);
      for (const page of [0, 1, 2]) expected.fill(page + 1, 0x800 + page * 0x1000, 0x1800 + page * 0x1000);
      sameBytes(bytes, expected);
      assert.deepEqual(remote.asked, [0, 1, 2]);
      assert.equal(await settle(() => remote.memory.readU64(0x1ffc)), 0x0202_0202_0101_0101n);
      assert.deepEqual(remote.asked, [0, 1, 2]);
    });
  }

  it('M16: a partial read ends where waiting begins; readPresent makes no hole of it', async () => {
    const remote = new RemotePages();
    assert.equal(remote.memory.read(0xff0, new Uint8Array(0x100)), 0x10);
    refused(() => readPresent(remote.memory, 0xff0, new Uint8Array(0x100)), { code: 'pending' });
    const dest = new Uint8Array(0x6000);
    assert.deepEqual(await settle(() => readPresent(remote.memory, 0, dest)), [
      { start: 0x5000, end: 0x6000 },
    ]);
    assert.equal(dest[0x4fff], 4);
  });

  it('M16: one that is pending for ever ends in retry-limit, with the last error as the cause', async () => {
    let runs = 0;
    const never = (): never => {
      runs++;
      throw pending(Promise.resolve());
    };
    const error = await rejection(settle(never, { attempts: 7 }));
    assert(isGuestMemoryError(error));
    assert.equal(error.code, 'retry-limit');
    assert.equal(runs, 7);
    assert(isGuestMemoryError(error.cause) && error.cause.code === 'pending');
    runs = 0;
    assert.equal((await rejection(settle(never))) instanceof GuestMemoryError, true);
    assert.equal(runs, 1000);
  });

  it('M16: other errors go through at once, and so does a wait that fails', async () => {
    const other = new Error('other');
    let runs = 0;
    const fails = (error: unknown) => (): never => {
      runs++;
      throw error;
    };
    assert.equal(await rejection(settle(fails(other))), other);
    const why = new Error('connection lost');
    assert.equal(await rejection(settle(fails(pending(Promise.reject(why))))), why);
    const unmapped = await rejection(settle(() => GuestMemory.empty().readU8(0)));
    assert(isGuestMemoryError(unmapped) && unmapped.code === 'unmapped');
    const withoutPromise = new GuestMemoryError('pending', 'nothing to wait for', { operation: 'read' });
    assert.equal(await rejection(settle(fails(withoutPromise))), withoutPromise);
    assert.equal(runs, 3);
  });

  it('M16: what needs no waiting runs once', async () => {
    let runs = 0;
    assert.equal(await settle(() => ++runs), 1);
    assert.equal(runs, 1);
  });
});
