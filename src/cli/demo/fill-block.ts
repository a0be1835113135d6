/** Fills a block with bytes that no other block has: xorshift32 from a seed of its own (Marsaglia 2003). */
export function fillBlock(block: Uint8Array, index: number): void {
  const words = new Uint32Array(block.buffer, block.byteOffset, block.byteLength >>> 2);
  let state = (Math.imul(index + 1, 0x9e37_79b9) ^ 0x5bd1_e995) | 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
}
