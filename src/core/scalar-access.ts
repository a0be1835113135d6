import { MemoryDoor } from './memory-door.ts';
import type { PageWindow } from './page-window.ts';
import { scratch } from './scratch.ts';

const TWO_32 = 0x1_0000_0000;

/**
 * Scalars by name, little-endian. Each is one element access where it is aligned and plain, and takes the slow road
 * through the scratch where it is not. An aligned scalar never tears (SPEC M5); the others may.
 *
 * All throw GuestMemoryError: `invalid` for an address that is none, `unmapped` where a byte is missing, `denied`
 * for a write to read-only memory, `closed` where the mapping has gone, `fault` where the backing failed. Values are
 * stored as typed arrays store them: modulo the width.
 */
export abstract class ScalarAccess extends MemoryDoor {
  /** Reads an unsigned 8-bit integer. */
  readU8(gpa: number): number {
    const home = this.home;
    if (home.holds(gpa, 1)) return home.u8[gpa - home.start] as number;
    const hint = this.hint(gpa);
    if (hint.holds(gpa, 1)) return hint.u8[gpa - hint.start] as number;
    return scratch.u8[this.fetch(gpa, 1)] as number;
  }

  /** Reads an unsigned 16-bit integer. */
  readU16(gpa: number): number {
    const home = this.home;
    if (home.holds(gpa, 2)) return home.u16[(gpa - home.start) >>> 1] as number;
    const hint = this.hint(gpa);
    if (hint.holds(gpa, 2)) return hint.u16[(gpa - hint.start) >>> 1] as number;
    return scratch.u16[this.fetch(gpa, 2)] as number;
  }

  /** Reads an unsigned 32-bit integer. */
  readU32(gpa: number): number {
    const home = this.home;
    if (home.holds(gpa, 4)) return home.u32[(gpa - home.start) >>> 2] as number;
    const hint = this.hint(gpa);
    if (hint.holds(gpa, 4)) return hint.u32[(gpa - hint.start) >>> 2] as number;
    return scratch.u32[this.fetch(gpa, 4)] as number;
  }

  /** Reads an unsigned 64-bit integer as a bigint; {@link readU64Into} and {@link readU64Number} are 3 to 6 times faster. */
  readU64(gpa: number): bigint {
    const home = this.home;
    if (home.holds(gpa, 8)) return home.u64[(gpa - home.start) >>> 3] as bigint;
    const hint = this.hint(gpa);
    if (hint.holds(gpa, 8)) return hint.u64[(gpa - hint.start) >>> 3] as bigint;
    return scratch.u64[this.fetch(gpa, 8)] as bigint;
  }

  /**
   * Reads an unsigned 64-bit integer as a number.
   *
   * Also throws `too-large` for a value above 2^53-1, which a number does not hold exactly.
   */
  readU64Number(gpa: number): number {
    this.load64(gpa);
    const hi = scratch.u32[1] as number;
    return hi > 0x1f_ffff ? this.refuseLarge(gpa) : hi * TWO_32 + (scratch.u32[0] as number);
  }

  /** Reads 64 bits as two unsigned halves, low then high, into `halves[0]` and `halves[1]`. Allocates nothing. */
  readU64Into(gpa: number, halves: Uint32Array): void {
    const home = this.home;
    if (home.exclusive && home.holds(gpa, 8)) {
      const index = (gpa - home.start) >>> 2;
      halves[0] = home.u32[index] as number;
      halves[1] = home.u32[index + 1] as number;
      return;
    }
    this.load64(gpa);
    halves[0] = scratch.u32[0] as number;
    halves[1] = scratch.u32[1] as number;
  }

  /**
   * The bytes that most accesses go to, for those who read many 8-byte entries by page number, as a page-table walk does.
   * `readPages` is 0 from the moment that they may not be read without asking; look at it before every use.
   */
  get pageWindow(): PageWindow {
    return this.home;
  }

  /**
   * Reads an unsigned 64-bit integer at a byte offset in a page, into `cell[0]`: {@link readU64Into} for those who
   * follow page numbers, as a page-table walk does. It never tears where `offset` is a multiple of 8. Page numbers are
   * small integers where addresses are doubles, and a cell is one copy where halves are two: a walk of four levels takes
   * half the time (Node 26).
   *
   * @param gpn - page number: the address divided by 4096, rounded down
   * @param offset - bytes from there, 0 to 4095
   */
  readU64InPage(gpn: number, offset: number, cell: BigUint64Array): void {
    const home = this.home;
    const page = gpn - home.firstPage;
    if (page >>> 0 === page && page < home.readPages && (offset & 0xff8) === offset) {
      cell[0] = home.u64[(page << 9) | (offset >>> 3)] as bigint;
      return;
    }
    this.load64(gpn * 4096 + offset);
    cell[0] = scratch.u64[0] as bigint;
  }

  /** Reads a signed 8-bit integer. */
  readI8(gpa: number): number {
    return (this.readU8(gpa) << 24) >> 24;
  }

  /** Reads a signed 16-bit integer. */
  readI16(gpa: number): number {
    return (this.readU16(gpa) << 16) >> 16;
  }

  /** Reads a signed 32-bit integer. */
  readI32(gpa: number): number {
    return this.readU32(gpa) | 0;
  }

  /** Reads a signed 64-bit integer as a bigint. */
  readI64(gpa: number): bigint {
    return BigInt.asIntN(64, this.readU64(gpa));
  }

  /** Reads an IEEE 754 single. */
  readF32(gpa: number): number {
    scratch.u32[0] = this.readU32(gpa);
    return scratch.f32[0] as number;
  }

  /** Reads an IEEE 754 double. */
  readF64(gpa: number): number {
    this.load64(gpa);
    return scratch.f64[0] as number;
  }

  /** Writes the low 8 bits of `value`. */
  writeU8(gpa: number, value: number): void {
    const home = this.home;
    if (home.holdsWritable(gpa, 1)) {
      home.u8[gpa - home.start] = value;
      if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset);
      return;
    }
    const hint = this.hint(gpa);
    if (hint.holdsWritable(gpa, 1)) {
      hint.u8[gpa - hint.start] = value;
      if (hint.log !== undefined) hint.log.markOne(gpa - hint.start + hint.logOffset);
      return;
    }
    scratch.u8[0] = value;
    this.put(gpa, 1);
  }

  /** Writes the low 16 bits of `value`. */
  writeU16(gpa: number, value: number): void {
    const home = this.home;
    if (home.holdsWritable(gpa, 2)) {
      home.u16[(gpa - home.start) >>> 1] = value;
      if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset);
      return;
    }
    const hint = this.hint(gpa);
    if (hint.holdsWritable(gpa, 2)) {
      hint.u16[(gpa - hint.start) >>> 1] = value;
      if (hint.log !== undefined) hint.log.markOne(gpa - hint.start + hint.logOffset);
      return;
    }
    scratch.u16[0] = value;
    this.put(gpa, 2);
  }

  /** Writes the low 32 bits of `value`. */
  writeU32(gpa: number, value: number): void {
    const home = this.home;
    if (home.holdsWritable(gpa, 4)) {
      home.u32[(gpa - home.start) >>> 2] = value;
      if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset);
      return;
    }
    const hint = this.hint(gpa);
    if (hint.holdsWritable(gpa, 4)) {
      hint.u32[(gpa - hint.start) >>> 2] = value;
      if (hint.log !== undefined) hint.log.markOne(gpa - hint.start + hint.logOffset);
      return;
    }
    scratch.u32[0] = value;
    this.put(gpa, 4);
  }

  /** Writes the low 64 bits of `value`. */
  writeU64(gpa: number, value: bigint): void {
    const home = this.home;
    if (home.holdsWritable(gpa, 8)) {
      home.u64[(gpa - home.start) >>> 3] = value;
      if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset);
      return;
    }
    const hint = this.hint(gpa);
    if (hint.holdsWritable(gpa, 8)) {
      hint.u64[(gpa - hint.start) >>> 3] = value;
      if (hint.log !== undefined) hint.log.markOne(gpa - hint.start + hint.logOffset);
      return;
    }
    scratch.u64[0] = value;
    this.put(gpa, 8);
  }

  /** Writes 64 bits given as two halves of 32, in one store. Allocates nothing. */
  writeU64Halves(gpa: number, lo: number, hi: number): void {
    const home = this.home;
    if (home.exclusive && home.holdsWritable(gpa, 8)) {
      const index = (gpa - home.start) >>> 2;
      home.u32[index] = lo;
      home.u32[index + 1] = hi;
      if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset);
      return;
    }
    scratch.u32[0] = lo;
    scratch.u32[1] = hi;
    const region = home.holdsWritable(gpa, 8) ? home : this.hint(gpa);
    if (region.holdsWritable(gpa, 8)) {
      region.u64[(gpa - region.start) >>> 3] = scratch.u64[0] as bigint;
      if (region.log !== undefined) region.log.markOne(gpa - region.start + region.logOffset);
    } else this.put(gpa, 8);
  }

  /** Writes the low 8 bits of `value`. */
  writeI8(gpa: number, value: number): void {
    this.writeU8(gpa, value);
  }

  /** Writes the low 16 bits of `value`. */
  writeI16(gpa: number, value: number): void {
    this.writeU16(gpa, value);
  }

  /** Writes the low 32 bits of `value`. */
  writeI32(gpa: number, value: number): void {
    this.writeU32(gpa, value);
  }

  /** Writes the low 64 bits of `value`. */
  writeI64(gpa: number, value: bigint): void {
    this.writeU64(gpa, value);
  }

  /** Writes an IEEE 754 single. */
  writeF32(gpa: number, value: number): void {
    scratch.f32[0] = value;
    this.writeU32(gpa, scratch.u32[0] as number);
  }

  /** Writes an IEEE 754 double. */
  writeF64(gpa: number, value: number): void {
    scratch.f64[0] = value;
    this.writeU64Halves(gpa, scratch.u32[0] as number, scratch.u32[1] as number);
  }

  /** 64 bits into the scratch, by one load. */
  private load64(gpa: number): void {
    const home = this.home;
    if (home.holds(gpa, 8)) {
      scratch.u64[0] = home.u64[(gpa - home.start) >>> 3] as bigint;
      return;
    }
    const hint = this.hint(gpa);
    if (hint.holds(gpa, 8)) {
      scratch.u64[0] = hint.u64[(gpa - hint.start) >>> 3] as bigint;
      return;
    }
    this.fetch(gpa, 8);
  }

  private refuseLarge(gpa: number): never {
    const value = `0x${(scratch.u64[0] as bigint).toString(16)}`;
    const facts = { operation: 'read as a number', gpa, length: 8 };
    throw this.error('too-large', `current value ${value}, wanted at most 2^53-1`, facts);
  }
}
