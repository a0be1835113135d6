import type { GuestMemory } from '../../../src/core/index.ts';
import type { OracleMemory, OracleWrite } from '../../support/oracles/oracle.ts';

/** Guest memory as the oracles read it. */
export function oracleMemory(memory: GuestMemory): OracleMemory {
  return (address, size) => {
    if (address > BigInt(Number.MAX_SAFE_INTEGER) || !memory.checkRange(Number(address), size))
      return undefined;
    return size === 8 ? memory.readU64(Number(address)) : BigInt(memory.readU32(Number(address)));
  };
}

/** Every 8-byte entry in which two memories of one size differ, as the oracles tell what they wrote. */
export function differences(before: Uint8Array, memory: GuestMemory): OracleWrite[] {
  const now = memory.readBytes(0, before.length);
  const old = new Uint32Array(before.buffer, before.byteOffset, before.length / 4);
  const words = new Uint32Array(now.buffer, now.byteOffset, now.length / 4);
  const writes: OracleWrite[] = [];
  for (let word = 0; word < words.length; word += 2) {
    if (words[word] === old[word] && words[word + 1] === old[word + 1]) continue;
    writes.push([BigInt(word * 4), memory.readU64(word * 4)]);
  }
  return writes;
}

/** Writes of an oracle as the state they leave: the last one to each address, in the order of addresses. */
export function lastWrites(writes: readonly OracleWrite[]): OracleWrite[] {
  return [...new Map(writes)].sort(([a], [b]) => (a < b ? -1 : 1));
}
