import { f64, type Layout, u16, u32, u64 } from '../core/index.ts';
import { VirtualDoor } from './virtual-door.ts';

/**
 * Scalars by name, little-endian, of virtual memory. One within a page is the physical memory's own: an aligned one is one
 * access that never tears (SPEC M5). One that lies in two pages is two copies, both pages settled before.
 */
export abstract class VirtualScalars extends VirtualDoor {
  /** Reads a value that lies in several pages. */
  protected abstract readAcross<T>(type: Layout<T>, gva: bigint): T;
  /** Writes a value that lies in several pages. */
  protected abstract writeAcross<T>(type: Layout<T>, gva: bigint, value: T): void;

  /** Reads an unsigned 8-bit integer. */
  readU8(gva: bigint): number {
    return this.memory.readU8(this.near(gva, 1, this.readCode));
  }

  /** Reads an unsigned 16-bit integer. */
  readU16(gva: bigint): number {
    const gpa = this.near(gva, 2, this.readCode);
    return gpa >= 0 ? this.memory.readU16(gpa) : this.readAcross(u16, gva);
  }

  /** Reads an unsigned 32-bit integer. */
  readU32(gva: bigint): number {
    const gpa = this.near(gva, 4, this.readCode);
    return gpa >= 0 ? this.memory.readU32(gpa) : this.readAcross(u32, gva);
  }

  /** Reads an unsigned 64-bit integer as a bigint; {@link readU64Into} and {@link readU64Number} are faster. */
  readU64(gva: bigint): bigint {
    const gpa = this.near(gva, 8, this.readCode);
    return gpa >= 0 ? this.memory.readU64(gpa) : this.readAcross(u64, gva);
  }

  /**
   * Reads an unsigned 64-bit integer as a number.
   *
   * Also throws `too-large` for a value above 2^53-1, which a number does not hold exactly.
   */
  readU64Number(gva: bigint): number {
    const gpa = this.near(gva, 8, this.readCode);
    if (gpa >= 0) return this.memory.readU64Number(gpa);
    const value = this.readAcross(u64, gva);
    if (value <= Number.MAX_SAFE_INTEGER) return Number(value);
    throw this.error('too-large', `current value 0x${value.toString(16)}, wanted at most 2^53-1`, {
      operation: 'read as a number',
      length: 8,
    });
  }

  /** Reads 64 bits as two unsigned halves, low then high, into `halves[0]` and `halves[1]`. */
  readU64Into(gva: bigint, halves: Uint32Array): void {
    const gpa = this.near(gva, 8, this.readCode);
    if (gpa >= 0) {
      this.memory.readU64Into(gpa, halves);
      return;
    }
    const value = this.readAcross(u64, gva);
    halves[0] = Number(BigInt.asUintN(32, value));
    halves[1] = Number(value >> 32n);
  }

  /** Reads a signed 8-bit integer. */
  readI8(gva: bigint): number {
    return (this.readU8(gva) << 24) >> 24;
  }

  /** Reads a signed 16-bit integer. */
  readI16(gva: bigint): number {
    return (this.readU16(gva) << 16) >> 16;
  }

  /** Reads a signed 32-bit integer. */
  readI32(gva: bigint): number {
    return this.readU32(gva) | 0;
  }

  /** Reads a signed 64-bit integer as a bigint. */
  readI64(gva: bigint): bigint {
    return BigInt.asIntN(64, this.readU64(gva));
  }

  /** Reads an IEEE 754 single. */
  readF32(gva: bigint): number {
    single.setUint32(0, this.readU32(gva));
    return single.getFloat32(0);
  }

  /** Reads an IEEE 754 double. */
  readF64(gva: bigint): number {
    const gpa = this.near(gva, 8, this.readCode);
    return gpa >= 0 ? this.memory.readF64(gpa) : this.readAcross(f64, gva);
  }

  /** Writes the low 8 bits of `value`. */
  writeU8(gva: bigint, value: number): void {
    this.memory.writeU8(this.near(gva, 1, this.writeCode), value);
  }

  /** Writes the low 16 bits of `value`. */
  writeU16(gva: bigint, value: number): void {
    const gpa = this.near(gva, 2, this.writeCode);
    if (gpa >= 0) this.memory.writeU16(gpa, value);
    else this.writeAcross(u16, gva, value);
  }

  /** Writes the low 32 bits of `value`. */
  writeU32(gva: bigint, value: number): void {
    const gpa = this.near(gva, 4, this.writeCode);
    if (gpa >= 0) this.memory.writeU32(gpa, value);
    else this.writeAcross(u32, gva, value);
  }

  /** Writes the low 64 bits of `value`. */
  writeU64(gva: bigint, value: bigint): void {
    const gpa = this.near(gva, 8, this.writeCode);
    if (gpa >= 0) this.memory.writeU64(gpa, value);
    else this.writeAcross(u64, gva, value);
  }

  /** Writes 64 bits given as two halves of 32, in one store where they lie in one page. */
  writeU64Halves(gva: bigint, lo: number, hi: number): void {
    const gpa = this.near(gva, 8, this.writeCode);
    if (gpa >= 0) this.memory.writeU64Halves(gpa, lo, hi);
    else this.writeAcross(u64, gva, (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0));
  }

  /** Writes the low 8 bits of `value`. */
  writeI8(gva: bigint, value: number): void {
    this.writeU8(gva, value);
  }

  /** Writes the low 16 bits of `value`. */
  writeI16(gva: bigint, value: number): void {
    this.writeU16(gva, value);
  }

  /** Writes the low 32 bits of `value`. */
  writeI32(gva: bigint, value: number): void {
    this.writeU32(gva, value);
  }

  /** Writes the low 64 bits of `value`. */
  writeI64(gva: bigint, value: bigint): void {
    this.writeU64(gva, value);
  }

  /** Writes an IEEE 754 single. */
  writeF32(gva: bigint, value: number): void {
    single.setFloat32(0, value);
    this.writeU32(gva, single.getUint32(0));
  }

  /** Writes an IEEE 754 double. */
  writeF64(gva: bigint, value: number): void {
    const gpa = this.near(gva, 8, this.writeCode);
    if (gpa >= 0) this.memory.writeF64(gpa, value);
    else this.writeAcross(f64, gva, value);
  }

  /** Reads an unsigned 16-bit integer as an instruction fetch does: with the right to execute. */
  fetchU16(gva: bigint): number {
    return this.fetchNear(u16, gva);
  }

  /** Reads an unsigned 32-bit integer as an instruction fetch does: with the right to execute. */
  fetchU32(gva: bigint): number {
    return this.fetchNear(u32, gva);
  }

  /** Reads a value for execution. */
  protected abstract fetchNear<T>(type: Layout<T>, gva: bigint): T;
}

const single = new DataView(new ArrayBuffer(4));
