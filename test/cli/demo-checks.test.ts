import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dataChecks, markerCheck, plugChecks } from '../../src/cli/demo/checks.ts';
import type { GuestResult } from '../../src/cli/demo/messages.ts';
import { GuestMemory } from '../../src/core/index.ts';

const MIB = 1024 * 1024;

function result(change: Partial<GuestResult> = {}): GuestResult {
  const transfer = { bytes: 4 * MIB, seconds: 0.1, pluggedBytes: MIB };
  return {
    kind: 'result',
    written: transfer,
    read: transfer,
    flushSeconds: 0,
    checksums: Uint32Array.from({ length: 32 }, (_, i) => i * 7919),
    mismatches: 0,
    serial: 'x',
    ...change,
  };
}

const verdicts = (checks: readonly { ok: boolean }[]): boolean[] => checks.map(({ ok }) => ok);

describe('checks of the demo', () => {
  it('C: hold when all is well', () => {
    assert.deepEqual(verdicts(dataChecks(result(), 0, 32)), [true, true, true]);
    assert.deepEqual(verdicts(plugChecks(result(), 1)), [true, true]);
  });

  it('C: fail for a block lost on the way to the file, on the way back, and for blocks that are alike', () => {
    assert.deepEqual(verdicts(dataChecks(result(), 1, 32)), [false, true, true]);
    assert.deepEqual(verdicts(dataChecks(result({ checksums: new Uint32Array(0) }), 0, 32)), [
      false,
      true,
      false,
    ]);
    assert.deepEqual(verdicts(dataChecks(result({ mismatches: 1 }), 0, 32)), [true, false, true]);
    assert.deepEqual(verdicts(dataChecks(result({ checksums: new Uint32Array(32) }), 0, 32)), [
      true,
      true,
      false,
    ]);
  });

  it('C: fail when the plugged memory came to an idle disk, or carried nothing one way', () => {
    const nothing = { bytes: 4 * MIB, seconds: 0.1, pluggedBytes: 0 };
    assert.deepEqual(verdicts(plugChecks(result(), 0)), [false, true]);
    assert.deepEqual(verdicts(plugChecks(result({ written: nothing }), 1)), [true, false]);
    assert.deepEqual(verdicts(plugChecks(result({ read: nothing }), 1)), [true, false]);
  });

  it('C: fail when the page tables lead elsewhere, nowhere, or to another text', () => {
    const memory = GuestMemory.allocate(0x2000);
    memory.writeAt(0x1010, new TextEncoder().encode('marker'));
    const marker = { gva: 0n, gpa: 0x1010, text: 'marker' };
    assert.equal(markerCheck(memory, marker, 0x1010).ok, true);
    assert.equal(markerCheck(memory, marker, 0x1011).ok, false);
    assert.equal(markerCheck(memory, marker, undefined).ok, false);
    assert.equal(markerCheck(memory, { ...marker, text: 'market' }, 0x1010).ok, false);
  });
});
