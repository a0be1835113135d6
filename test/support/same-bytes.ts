import assert from 'node:assert/strict';

/** Fails unless the two have the same bytes; says where they part. Much cheaper than a deep comparison. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what = 'bytes'): void {
  if (actual.length !== expected.length) {
    assert.fail(`${what}: ${actual.length} bytes, wanted ${expected.length}`);
  }
  for (let i = 0; i < actual.length; i++) {
    if (actual[i] !== expected[i]) {
      const near = (bytes: Uint8Array): string =>
        Array.from(bytes.subarray(Math.max(0, i - 4), i + 8)).join(' ');
      assert.fail(`${what}: differ at ${i}: ...${near(actual)}..., wanted ...${near(expected)}...`);
    }
  }
}
