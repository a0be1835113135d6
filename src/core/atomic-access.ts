import { BulkAccess } from './bulk-access.ts';
import type { GuestMemoryError } from './errors.ts';
import type { IntegerType } from './layout.ts';
import type { Region } from './region.ts';
import { scratch } from './scratch.ts';

/** One of `Atomics`' read-modify-write functions. */
type Step = typeof Atomics.add;

/**
 * Atomic operations on aligned integers of 1, 2, 4 or 8 bytes, sequentially consistent as the language's `Atomics`
 * are, on every kind of mapped memory, shared with another process or not.
 *
 * All throw GuestMemoryError: `misaligned` where the host bytes are not at a multiple of the width or lie on both
 * sides of a seam, `unsupported` on a region of calls (but for compare-exchange where its backing offers one), and
 * else as a write does.
 */
export abstract class AtomicAccess extends BulkAccess {
  /** Reads atomically. */
  load<T extends number | bigint>(type: IntegerType<T>, gpa: number): T {
    const width = type.size;
    const piece = this.home.holds(gpa, width) ? this.home : this.atomicPiece(gpa, width, 'read', 'load');
    const at = gpa - piece.start + piece.skew;
    return fromBits(type, loadRaw(piece, at, width));
  }

  /** Writes atomically. */
  store<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): void {
    const width = type.size;
    const piece = this.home.holdsWritable(gpa, width)
      ? this.home
      : this.atomicPiece(gpa, width, 'write', 'store');
    const at = gpa - piece.start + piece.skew;
    const bits = toBits(type, value);
    if (typeof bits === 'bigint') Atomics.store(piece.u64, at / 8, bits);
    else if (width === 4) Atomics.store(piece.u32, at / 4, bits);
    else if (width === 2) Atomics.store(piece.u16, at / 2, bits);
    else Atomics.store(piece.u8, at - piece.skew, bits);
    piece.mark(gpa - piece.start, width);
  }

  /** Writes atomically and returns what was there. */
  exchange<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite(Atomics.exchange, 'exchange', type, gpa, value);
  }

  /** Adds, wrapping at the width, and returns what was there. */
  fetchAdd<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    if (!type.littleEndian && type.size > 1) throw this.noCarry(type, gpa, 'fetch and add');
    return this.readModifyWrite(Atomics.add, 'fetch and add', type, gpa, value);
  }

  /** Subtracts, wrapping at the width, and returns what was there. */
  fetchSub<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    if (!type.littleEndian && type.size > 1) throw this.noCarry(type, gpa, 'fetch and sub');
    return this.readModifyWrite(Atomics.sub, 'fetch and sub', type, gpa, value);
  }

  /** Bitwise and; returns what was there. */
  fetchAnd<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite(Atomics.and, 'fetch and and', type, gpa, value);
  }

  /** Bitwise or; returns what was there. */
  fetchOr<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite(Atomics.or, 'fetch and or', type, gpa, value);
  }

  /** Bitwise exclusive or; returns what was there. */
  fetchXor<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite(Atomics.xor, 'fetch and xor', type, gpa, value);
  }

  /**
   * Replaces the value by `desired` if it equals `expected`, and returns what was there: it was replaced if that
   * equals `expected`.
   */
  compareExchange<T extends number | bigint>(type: IntegerType<T>, gpa: number, expected: T, desired: T): T {
    const width = type.size;
    const piece = this.home.holdsWritable(gpa, width)
      ? this.home
      : this.atomicPiece(gpa, width, 'write', COMPARE_EXCHANGE, true);
    const offset = gpa - piece.start;
    if (piece.fallback !== undefined && piece.direct(offset, width, 'write') === undefined) {
      return this.compareExchangeEncoded(type, gpa, expected, desired);
    }
    const wanted = toBits(type, expected);
    const found = compareExchangeRaw(piece, offset + piece.skew, width, wanted, toBits(type, desired));
    if (found === wanted) piece.mark(offset, width);
    return fromBits(type, found);
  }

  /** {@link AtomicAccess.compareExchange} on a region of calls, which moves bytes. */
  private compareExchangeEncoded<T extends number | bigint>(
    type: IntegerType<T>,
    gpa: number,
    expected: T,
    desired: T,
  ): T {
    const current = new Uint8Array(type.size);
    const next = new Uint8Array(type.size);
    type.encode(new DataView(current.buffer), 0, expected);
    type.encode(new DataView(next.buffer), 0, desired);
    this.compareExchangeBytes(gpa, current, next);
    return type.decode(new DataView(current.buffer), 0);
  }

  /**
   * Replaces 1, 2, 4 or 8 bytes by `next` if they equal `current`. On a mismatch the bytes that are there are put
   * into `current`.
   *
   * @returns whether they were replaced
   */
  compareExchangeBytes(gpa: number, current: Uint8Array, next: Uint8Array): boolean {
    const operation = COMPARE_EXCHANGE;
    const width = current.length;
    if (next.length !== width || (width !== 1 && width !== 2 && width !== 4 && width !== 8)) {
      throw this.error('invalid', `current lengths ${width} and ${next.length}, wanted both 1, 2, 4 or 8`, {
        operation,
        gpa,
      });
    }
    const piece = this.atomicPiece(gpa, width, 'write', operation, true);
    const offset = gpa - piece.start;
    if (piece.fallback !== undefined && piece.direct(offset, width, 'write') === undefined) {
      const replaced = this.compareExchangeByCall(piece, gpa, current, next);
      if (replaced) piece.mark(offset, width);
      return replaced;
    }
    const at = gpa - piece.start + piece.skew;
    const expected = rawBits(current);
    const found = compareExchangeRaw(piece, at, width, expected, rawBits(next));
    if (found === expected) {
      piece.mark(offset, width);
      return true;
    }
    if (typeof found === 'bigint') scratch.u64[0] = found;
    else scratch.u32[0] = found;
    for (let i = 0; i < width; i++) current[i] = scratch.u8[i] as number;
    return false;
  }

  private compareExchangeByCall(piece: Region, gpa: number, current: Uint8Array, next: Uint8Array): boolean {
    try {
      return (
        piece.fallback?.compareExchange?.(piece.backingOffset + gpa - piece.start, current, next) ?? false
      );
    } catch (cause) {
      throw this.failure(cause, gpa, current.length, gpa, 'compare exchange');
    }
  }

  private readModifyWrite<T extends number | bigint>(
    step: Step,
    operation: string,
    type: IntegerType<T>,
    gpa: number,
    value: T,
  ): T {
    const width = type.size;
    const piece = this.home.holdsWritable(gpa, width)
      ? this.home
      : this.atomicPiece(gpa, width, 'write', operation);
    const at = gpa - piece.start + piece.skew;
    const bits = toBits(type, value);
    let found: number | bigint;
    if (typeof bits === 'bigint') found = step(piece.u64, at / 8, bits);
    else if (width === 4) found = step(piece.u32, at / 4, bits);
    else if (width === 2) found = step(piece.u16, at / 2, bits);
    else found = step(piece.u8, at - piece.skew, bits);
    piece.mark(gpa - piece.start, width);
    return fromBits(type, found);
  }

  /** The piece in which an aligned integer lies whole, where that is not `home`: by a quick look, or by settling it. */
  private atomicPiece(
    gpa: number,
    width: number,
    access: 'read' | 'write',
    operation: string,
    callsToo = false,
  ): Region {
    const hint = this.hint(gpa);
    if (access === 'read' ? hint.holds(gpa, width) : hint.holdsWritable(gpa, width)) return hint;
    return this.settledPiece(gpa, width, access, operation, callsToo);
  }

  protected settledPiece(
    gpa: number,
    width: number,
    access: 'read' | 'write',
    operation: string,
    callsToo: boolean,
  ): Region {
    const piece = this.map.pieces[this.settle(gpa, width, access, operation)] as Region;
    const facts = { operation, gpa, length: width };
    const offset = gpa - piece.start;
    if ((offset + piece.skew) % width !== 0 || width > piece.size - offset) {
      throw this.error(
        'misaligned',
        `current host offset ${offset + piece.skew}, wanted a multiple of ${width} in one region`,
        facts,
      );
    }
    const direct =
      this.ownPages(piece, gpa, width, access, operation) === width &&
      (piece.direct(offset, width, access) ?? piece.direct(offset, width, 'write')) !== undefined;
    if (!direct && !(callsToo && piece.fallback?.compareExchange !== undefined)) {
      throw this.unsupported(piece, facts);
    }
    return piece;
  }

  private noCarry({ name }: { readonly name: string }, gpa: number, operation: string): GuestMemoryError {
    return this.error('unsupported', `no processor carries from byte to byte in ${name}`, { operation, gpa });
  }

  private unsupported(
    piece: Region,
    facts: { operation: string; gpa: number; length: number },
  ): GuestMemoryError {
    return this.error('unsupported', `the ${piece.backing.kind} region offers no such step`, facts);
  }
}

const COMPARE_EXCHANGE = 'compare exchange';

/** A value as the unsigned little-endian one of the same bytes: a number up to 4 bytes, a bigint for 8. */
function toBits<T extends number | bigint>(type: IntegerType<T>, value: T): number | bigint {
  if (type.raw !== true) return encodedBits(type, value);
  if (type.size === 4) return (value as number) >>> 0;
  if (type.size === 8) return BigInt.asUintN(64, value as bigint);
  return (value as number) & (type.size === 2 ? 0xffff : 0xff);
}

function encodedBits<T extends number | bigint>(type: IntegerType<T>, value: T): number | bigint {
  type.encode(scratch.view, 0, value);
  if (type.size === 8) return scratch.u64[0] as bigint;
  if (type.size === 4) return scratch.u32[0] as number;
  return (type.size === 2 ? scratch.u16[0] : scratch.u8[0]) as number;
}

/** The way back. */
function fromBits<T extends number | bigint>(type: IntegerType<T>, bits: number | bigint): T {
  return type.raw === true ? (bits as T) : decodedBits(type, bits);
}

function decodedBits<T extends number | bigint>(type: IntegerType<T>, bits: number | bigint): T {
  if (typeof bits === 'bigint') scratch.u64[0] = bits;
  else scratch.u32[0] = bits;
  return type.decode(scratch.view, 0);
}

/** Up to eight bytes as one little-endian value: a number up to 4 bytes, a bigint for 8. */
function rawBits(bytes: Uint8Array): number | bigint {
  scratch.u64[0] = 0n;
  for (let i = 0; i < bytes.length; i++) scratch.u8[i] = bytes[i] as number;
  return bytes.length === 8 ? (scratch.u64[0] as bigint) : (scratch.u32[0] as number);
}

function loadRaw(piece: Region, at: number, width: number): number | bigint {
  if (width === 4) return Atomics.load(piece.u32, at / 4);
  if (width === 2) return Atomics.load(piece.u16, at / 2);
  if (width === 8) return Atomics.load(piece.u64, at / 8);
  return Atomics.load(piece.u8, at - piece.skew);
}

function compareExchangeRaw(
  piece: Region,
  at: number,
  width: number,
  expected: number | bigint,
  desired: number | bigint,
): number | bigint {
  if (typeof expected === 'bigint')
    return Atomics.compareExchange(piece.u64, at / 8, expected, desired as bigint);
  const next = desired as number;
  if (width === 4) return Atomics.compareExchange(piece.u32, at / 4, expected, next);
  if (width === 2) return Atomics.compareExchange(piece.u16, at / 2, expected, next);
  return Atomics.compareExchange(piece.u8, at - piece.skew, expected, next);
}
