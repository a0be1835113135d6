import type { Access } from './access.ts';
import { ADDRESS_SPACE_SIZE, isGpa } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import { GuestMemoryError } from './errors.ts';
import type { GuestMemory } from './guest-memory.ts';
import { hex } from './hex.ts';
import { scratch } from './scratch.ts';

/**
 * A window of another memory, to stand at a second address: the low megabyte under the BIOS, a PCI hole remapped, a
 * nested memory. It shares the bytes; nothing is copied, and protections of the other memory hold.
 *
 * Every access goes through the other memory, so it follows that memory's rules to the letter; a window that is to be
 * as quick as plain memory is a region of its own on the same backing.
 *
 * @param gpa - first address of the window in `memory`
 * @param size - bytes, at least 1; holes inside stay holes
 * @throws GuestMemoryError `invalid` for a window that is none
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { alias, GuestMemory } from 'guestmem';
 *
 * const ram = GuestMemory.allocate(0x10_0000);
 * const machine = ram.insertRegion({ start: 0xfff0_0000, backing: alias(ram, 0xf_0000, 0x1_0000) });
 * machine.writeU16(0xf_0010, 0xaa55);
 * assert.equal(machine.readU16(0xfff0_0010), 0xaa55);
 * ```
 */
export function alias(memory: GuestMemory, gpa: number, size: number): MemoryBacking {
  if (!isGpa(gpa) || !isGpa(size) || size === 0 || size > ADDRESS_SPACE_SIZE - gpa) {
    throw new GuestMemoryError(
      'invalid',
      `current window of ${size} bytes at ${hex(gpa)}, wanted one inside the 2^53 space`,
      {
        operation: 'make an alias',
      },
    );
  }
  return {
    kind: 'alias',
    size,
    fallback: {
      read: (offset, dest) => readWhole(memory, gpa + offset, dest),
      write: (offset, src) => writeWhole(memory, gpa + offset, src),
      compareExchange: (offset, expected, desired) =>
        memory.compareExchangeBytes(gpa + offset, expected, desired),
      probe: (offset, length, access) => memory.reach(gpa + offset, length, access),
      explain: (offset, access) => refusalOf(memory, gpa + offset, access),
    },
  };
}

/** Reads a scalar as a scalar, so that it does not tear here either (SPEC M5), and anything else as bytes. */
export function readWhole(memory: GuestMemory, gpa: number, dest: Uint8Array): void {
  const width = dest.length;
  if (width === 8) memory.readU64Into(gpa, scratch.u32);
  else if (width === 4) scratch.u32[0] = memory.readU32(gpa);
  else if (width === 2) scratch.u16[0] = memory.readU16(gpa);
  else {
    memory.readAt(gpa, dest);
    return;
  }
  for (let i = 0; i < width; i++) dest[i] = scratch.u8[i] as number;
}

/** Writes a scalar as a scalar, likewise. */
export function writeWhole(memory: GuestMemory, gpa: number, src: Uint8Array): void {
  const width = src.length;
  if (width !== 2 && width !== 4 && width !== 8) {
    memory.writeAt(gpa, src);
    return;
  }
  scratch.u8.set(src);
  if (width === 8) memory.writeU64Halves(gpa, scratch.u32[0] as number, scratch.u32[1] as number);
  else if (width === 4) memory.writeU32(gpa, scratch.u32[0] as number);
  else memory.writeU16(gpa, scratch.u16[0] as number);
}

/** What an access to one byte would throw; `undefined` where it would succeed. */
export function refusalOf(memory: GuestMemory, gpa: number, access: Access): unknown {
  try {
    memory.probe(gpa, 1, access);
    return undefined;
  } catch (error) {
    return error;
  }
}
