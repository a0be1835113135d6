import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bytes,
  callbacks,
  GuestMemory,
  GuestMemoryError,
  hex,
  isGuestMemoryError,
  pending,
} from '../../src/core/index.ts';
import { CODES, refused } from '../support/refused.ts';

describe('E: errors of memory', () => {
  it('E: the facts are fields, and the message is made of them', () => {
    const cause = new Error('bus');
    const error = new GuestMemoryError('fault', 'the bus is gone', {
      memory: 'ram',
      operation: 'read',
      gpa: 0x1000,
      length: 8,
      failedAt: 0x1004,
      done: 4,
      cause,
    });
    assert.equal(error.message, 'Cannot read 8 bytes at 0x1000 of memory "ram": the bus is gone');
    const { name, code, memory, operation, gpa, length, failedAt, done } = error;
    assert.deepEqual(
      { name, code, memory, operation, gpa, length, failedAt, done },
      {
        name: 'GuestMemoryError',
        code: 'fault',
        memory: 'ram',
        operation: 'read',
        gpa: 0x1000,
        length: 8,
        failedAt: 0x1004,
        done: 4,
      },
    );
    assert.equal(error.cause, cause);
    assert(error instanceof Error && error instanceof GuestMemoryError);
    assert.match(String(error), /^GuestMemoryError: Cannot read/);
    assert.match(error.stack ?? '', /errors\.test/);
  });

  it('E: what is not known is left out of the message, and there is no cause without one', () => {
    const bare = new GuestMemoryError('unsupported', 'not here', { operation: 'allocate memory' });
    assert.equal(bare.message, 'Cannot allocate memory: not here');
    assert.equal('cause' in bare, false);
    assert.equal(bare.done, 0);
    assert.equal(bare.gpa, undefined);
    const one = new GuestMemoryError('unmapped', 'no', { operation: 'read', gpa: 2 ** 53 - 1, length: 1 });
    assert.equal(one.message, 'Cannot read 1 byte at 0x1fffffffffffff: no');
    const none = new GuestMemoryError('unmapped', 'no', { operation: 'read', gpa: 0, length: 0 });
    assert.equal(none.message, 'Cannot read 0 bytes at 0x0: no');
  });

  it('E: addresses in words are hexadecimal; what is no address stays as it is', () => {
    assert.equal(hex(0), '0x0');
    assert.equal(hex(0xdead_beef_0000), '0xdeadbeef0000');
    assert.equal(hex(0xffff_ffff_ffff_ffffn), '0xffffffffffffffff');
    assert.equal(hex(-5), '-5');
    assert.equal(hex(0.5), '0.5');
    assert.equal(hex(Number.NaN), 'NaN');
  });

  it('E: the guard goes by shape: errors of another copy of the package and of another realm pass', () => {
    assert.equal(isGuestMemoryError(new GuestMemoryError('invalid', 'x', { operation: 'read' })), true);
    class Copy extends Error {
      override readonly name = 'GuestMemoryError';
      readonly code = 'unmapped';
      readonly operation = 'read';
    }
    assert.equal(isGuestMemoryError(new Copy()), true);
    // An error of another realm has the language's inner mark and another Error.prototype.
    const foreign = Object.setPrototypeOf(new Error('x'), { name: 'GuestMemoryError' });
    Object.assign(foreign, { code: 'unmapped', operation: 'read' });
    assert.equal(foreign instanceof Error, false);
    assert.equal(isGuestMemoryError(foreign), true);
  });

  it('E: the guard refuses what is not such an error', () => {
    const named = Object.assign(new Error('x'), { name: 'GuestMemoryError' });
    const others: unknown[] = [
      undefined,
      null,
      'GuestMemoryError',
      7,
      new Error('x'),
      named,
      Object.assign(new Error('x'), { code: 'unmapped', operation: 'read' }),
      Object.assign(new Error('x'), { name: 'GuestMemoryError', code: 5, operation: 'read' }),
      { name: 'GuestMemoryError', code: 'unmapped', operation: 'read' },
    ];
    for (const other of others) assert.equal(isGuestMemoryError(other), false, String(other));
  });

  it('E: every failure of a hostile afternoon is one of the closed set of codes', () => {
    const memory = GuestMemory.fromRegions([
      { start: 0, backing: bytes(new Uint8Array(16).fill(1), { readOnly: true }) },
      {
        start: 16,
        backing: callbacks({
          size: 16,
          read() {
            throw new Error('no');
          },
        }),
      },
    ]);
    const seen = new Set<string>();
    for (const gpa of [Number.NaN, -1, 0, 1, 8, 15, 16, 31, 32, 2 ** 53]) {
      for (const call of [
        () => memory.readU64(gpa),
        () => memory.writeU64(gpa, 0n),
        () => memory.compareExchangeBytes(gpa, new Uint8Array(4), new Uint8Array(4)),
        () => memory.view(gpa, 4, 'read'),
        () => memory.readBytes(gpa, 20),
        () => memory.readCString(gpa, 4),
      ]) {
        try {
          call();
        } catch (error) {
          assert(isGuestMemoryError(error));
          assert(CODES.includes(error.code));
          seen.add(error.code);
        }
      }
    }
    assert.deepEqual([...seen].sort(), [
      'denied',
      'fault',
      'invalid',
      'too-large',
      'unmapped',
      'unsupported',
    ]);
  });

  it('E: the operation names what was asked for, and the memory is named', () => {
    const memory = GuestMemory.fromRanges([[0, 8]], { name: 'tiny' });
    const far = { code: 'unmapped', memory: 'tiny', failedAt: 8 } as const;
    refused(() => memory.readU64(1), { ...far, operation: 'read' });
    refused(() => memory.writeU64(1, 0n), { ...far, operation: 'write' });
    refused(() => memory.fillAt(1, 0, 8), { ...far, operation: 'fill' });
    refused(() => memory.probe(1, 8), { ...far, operation: 'probe' });
    refused(() => memory.view(1, 8, 'read'), { ...far, operation: 'view' });
    refused(() => memory.copyFrom(memory, 0, 1, 8), { ...far, operation: 'copy' });
    refused(() => memory.subrange(1, 8), { ...far, operation: 'take a subrange' });
  });

  it('M16 E: pending() is an error with the promise to wait for', () => {
    const ready = Promise.resolve();
    const error = pending(ready);
    assert.equal(error.code, 'pending');
    assert.equal(error.ready, ready);
    assert(isGuestMemoryError(error));
  });
});
