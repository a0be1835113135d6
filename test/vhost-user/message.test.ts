import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isVhostUserError } from '../../src/vhost-user/index.ts';
import { decodeHeader, decodeMessage, encodeReply } from '../../src/vhost-user/message.ts';
import { body, message, REQUEST, regionFields, tableBody } from './wire.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const region = fc.record(
  { gpa: u64, size: u64, userAddress: u64, mmapOffset: u64 },
  { noNullPrototype: true },
);

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decode(request: keyof typeof REQUEST, bytes: Uint8Array, fds = 0): unknown {
  return decodeMessage(REQUEST[request], view(bytes), fds);
}

describe('message headers', () => {
  it('V4: are read whatever their unused bits say', () => {
    fc.assert(
      fc.property(
        u32,
        fc.integer({ min: 0, max: 4096 }),
        fc.boolean(),
        u32,
        (request, size, needReply, noise) => {
          const flags = ((noise & ~0xf) | 1 | (needReply ? 8 : 0)) >>> 0;
          assert.deepEqual(decodeHeader(view(body([request, flags, size]))), { request, size, needReply });
        },
      ),
    );
  });

  it('V4: of another version, of replies and of bodies that are too long are refused', () => {
    for (const flags of [0, 2, 3, 4, 5]) {
      assert.throws(() => decodeHeader(view(body([1, flags, 0]))), {
        name: 'VhostUserError',
        code: 'header',
      });
    }
    assert.throws(() => decodeHeader(view(body([1, 1, 4097]))), { code: 'header', request: 'GET_FEATURES' });
    assert.throws(() => decodeHeader(view(body([999, 1, 0xffff_ffff]))), {
      code: 'header',
      request: 'request 999',
    });
  });

  it('V4: of replies say version 1, reply, and the length', () => {
    assert.deepEqual(encodeReply(17, body([3n])), message(17, body([3n]), 5));
  });
});

describe('messages', () => {
  it('V4: come out as they were put in', () => {
    fc.assert(
      fc.property(
        u64,
        u32,
        u32,
        region,
        fc.array(region, { maxLength: 8 }),
        (features, index, value, one, table) => {
          assert.deepEqual(decode('SET_FEATURES', body([features])), { request: 'SET_FEATURES', features });
          for (const request of [
            'SET_VRING_NUM',
            'SET_VRING_BASE',
            'GET_VRING_BASE',
            'SET_VRING_ENABLE',
          ] as const) {
            assert.deepEqual(decode(request, body([index, value])), { request, index, value });
          }
          assert.deepEqual(decode('SET_MEM_TABLE', tableBody(table), table.length), {
            request: 'SET_MEM_TABLE',
            regions: table,
          });
          assert.deepEqual(decode('ADD_MEM_REG', body([0n, ...regionFields(one)]), 1), {
            request: 'ADD_MEM_REG',
            region: one,
          });
          assert.deepEqual(
            decode('SET_VRING_ADDR', body([index, value, one.gpa, one.size, one.userAddress, features])),
            {
              request: 'SET_VRING_ADDR',
              index,
              addresses: { descriptorTable: one.gpa, usedRing: one.size, availableRing: one.userAddress },
            },
          );
        },
      ),
    );
  });

  it('V4: of kicks, calls and errors tell a ring, and whether a descriptor comes', () => {
    for (const request of ['SET_VRING_KICK', 'SET_VRING_CALL', 'SET_VRING_ERR'] as const) {
      assert.deepEqual(decode(request, body([3n]), 1), { request, index: 3, hasDescriptor: true });
      assert.deepEqual(decode(request, body([0x1_03n])), { request, index: 3, hasDescriptor: false });
      assert.throws(() => decode(request, body([3n]), 0), { code: 'descriptors' });
      assert.throws(() => decode(request, body([0x1_03n]), 1), { code: 'descriptors' });
      assert.throws(() => decode(request, body([3n]), 2), { code: 'descriptors' });
    }
  });

  it('V4: about the configuration space stay inside it', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    assert.deepEqual(decode('GET_CONFIG', body([4, 3, 0], bytes)), {
      request: 'GET_CONFIG',
      offset: 4,
      size: 3,
    });
    assert.deepEqual(decode('SET_CONFIG', body([253, 3, 1], bytes)), {
      request: 'SET_CONFIG',
      offset: 253,
      bytes,
    });
    for (const [offset, size] of [
      [254, 3],
      [0xffff_fffe, 3],
      [0, 257],
      [0, 0xffff_ffff],
    ] as const) {
      assert.throws(() => decode('GET_CONFIG', body([offset, size, 0], bytes)), {
        name: 'VhostUserError',
        code: 'length',
      });
    }
    assert.throws(() => decode('SET_CONFIG', body([0, 4, 0], bytes)), { code: 'length' });
  });

  it('V4: with the wrong number of descriptors are refused', () => {
    const one = { gpa: 0n, size: 4096n, userAddress: 0n, mmapOffset: 0n };
    assert.throws(() => decode('SET_MEM_TABLE', tableBody([one, one]), 1), { code: 'descriptors' });
    assert.throws(() => decode('ADD_MEM_REG', body([0n, ...regionFields(one)]), 0), { code: 'descriptors' });
    assert.throws(() => decode('GET_FEATURES', body([]), 1), { code: 'descriptors' });
    // Needless, but some send it.
    decode('REM_MEM_REG', body([0n, ...regionFields(one)]), 1);
    decode('REM_MEM_REG', body([0n, ...regionFields(one)]), 0);
  });

  it('V4: that are too short, too long or unknown are refused', () => {
    assert.throws(() => decode('SET_FEATURES', new Uint8Array(7)), {
      name: 'VhostUserError',
      code: 'length',
    });
    assert.throws(() => decode('SET_FEATURES', new Uint8Array(9)), {
      code: 'length',
      request: 'SET_FEATURES',
    });
    assert.throws(() => decode('GET_FEATURES', new Uint8Array(1)), { code: 'length' });
    assert.throws(() => decode('SET_MEM_TABLE', body([9, 0], new Uint8Array(9 * 32)), 9), { code: 'length' });
    assert.throws(() => decode('SET_MEM_TABLE', body([0xffff_ffff, 0]), 0), { code: 'length' });
    assert.throws(() => decode('GET_INFLIGHT_FD', new Uint8Array(20)), {
      code: 'unsupported',
      request: 'GET_INFLIGHT_FD',
    });
    assert.throws(() => decodeMessage(4711, view(body([])), 0), {
      code: 'unsupported',
      request: 'request 4711',
    });
  });

  it('V4: fuzz: any bytes are a message or a typed error', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 50 }),
        fc.uint8Array({ maxLength: 320 }),
        fc.integer({ min: 0, max: 33 }),
        (request, bytes, fds) => {
          try {
            decodeMessage(request, view(bytes), fds);
          } catch (error) {
            assert(isVhostUserError(error), String(error));
            assert(error.message.length < 200);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
