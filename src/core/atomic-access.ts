import { BulkAccess } from './bulk-access.ts';
import type { GuestMemoryError } from './errors.ts';
import type { IntegerType } from './layout.ts';
import type { Region } from './region.ts';
import { scratch } from './scratch.ts';

type ReadModifyWrite = 'add' | 'sub' | 'and' | 'or' | 'xor' | 'exchange';

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
    const piece = this.atomicPiece(gpa, width, 'read', 'load');
    const at = gpa - piece.start + piece.skew;
    const bits = loadRaw(piece, at, width);
    if (type.raw === true) return bits as T;
    if (typeof bits === 'bigint') scratch.u64[0] = bits;
    else scratch.u32[0] = bits;
    return type.decode(scratch.view, 0);
  }

  /** Writes atomically. */
  store<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): void {
    const width = type.size;
    const piece = this.atomicPiece(gpa, width, 'write', 'store');
    const at = gpa - piece.start + piece.skew;
    type.encode(scratch.view, 0, value);
    if (width === 4) Atomics.store(piece.u32, at / 4, scratch.u32[0] as number);
    else if (width === 8) Atomics.store(piece.u64, at / 8, scratch.u64[0] as bigint);
    else if (width === 2) Atomics.store(piece.u16, at / 2, scratch.u16[0] as number);
    else Atomics.store(piece.u8, at - piece.skew, scratch.u8[0] as number);
    piece.mark(gpa - piece.start, width);
  }

  /** Writes atomically and returns what was there. */
  exchange<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite('exchange', type, gpa, value);
  }

  /** Adds, wrapping at the width, and returns what was there. */
  fetchAdd<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite('add', type, gpa, value);
  }

  /** Subtracts, wrapping at the width, and returns what was there. */
  fetchSub<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite('sub', type, gpa, value);
  }

  /** Bitwise and; returns what was there. */
  fetchAnd<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite('and', type, gpa, value);
  }

  /** Bitwise or; returns what was there. */
  fetchOr<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite('or', type, gpa, value);
  }

  /** Bitwise exclusive or; returns what was there. */
  fetchXor<T extends number | bigint>(type: IntegerType<T>, gpa: number, value: T): T {
    return this.readModifyWrite('xor', type, gpa, value);
  }

  /**
   * Replaces the value by `desired` if it equals `expected`, and returns what was there: it was replaced if that
   * equals `expected`.
   */
  compareExchange<T extends number | bigint>(type: IntegerType<T>, gpa: number, expected: T, desired: T): T {
    const width = type.size;
    const piece = this.atomicPiece(gpa, width, 'write', COMPARE_EXCHANGE, true);
    const offset = gpa - piece.start;
    if (piece.direct(offset, width, 'write') === undefined) {
      return this.compareExchangeEncoded(type, gpa, expected, desired);
    }
    type.encode(scratch.view, 0, expected);
    const wanted = scratchBits(width);
    type.encode(scratch.view, 0, desired);
    const found = compareExchangeRaw(piece, offset + piece.skew, width, wanted, scratchBits(width));
    if (found === wanted) piece.mark(offset, width);
    if (typeof found === 'bigint') scratch.u64[0] = found;
    else scratch.u32[0] = found;
    return type.decode(scratch.view, 0);
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
    if (piece.direct(offset, width, 'write') === undefined) {
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
    step: ReadModifyWrite,
    type: IntegerType<T>,
    gpa: number,
    value: T,
  ): T {
    const operation = step === 'exchange' ? 'exchange' : `fetch and ${step}`;
    if (!type.littleEndian && type.size > 1 && (step === 'add' || step === 'sub')) {
      throw this.error('unsupported', `no processor carries from byte to byte in ${type.name}`, {
        operation,
        gpa,
      });
    }
    const piece = this.atomicPiece(gpa, type.size, 'write', operation);
    const at = gpa - piece.start + piece.skew;
    type.encode(scratch.view, 0, value);
    if (type.size === 4) scratch.u32[0] = Atomics[step](piece.u32, at / 4, scratch.u32[0] as number);
    else if (type.size === 8) scratch.u64[0] = Atomics[step](piece.u64, at / 8, scratch.u64[0] as bigint);
    else if (type.size === 2) scratch.u16[0] = Atomics[step](piece.u16, at / 2, scratch.u16[0] as number);
    else scratch.u8[0] = Atomics[step](piece.u8, at - piece.skew, scratch.u8[0] as number);
    piece.mark(gpa - piece.start, type.size);
    return type.decode(scratch.view, 0);
  }

  /** The piece in which an aligned integer lies whole: by a quick look, as for scalars, or by settling it. */
  private atomicPiece(
    gpa: number,
    width: number,
    access: 'read' | 'write',
    operation: string,
    callsToo = false,
  ): Region {
    const { home } = this;
    if (access === 'read' ? home.holds(gpa, width) : home.holdsWritable(gpa, width)) return home;
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

  private unsupported(
    piece: Region,
    facts: { operation: string; gpa: number; length: number },
  ): GuestMemoryError {
    return this.error('unsupported', `the ${piece.backing.kind} region offers no such step`, facts);
  }
}

const COMPARE_EXCHANGE = 'compare exchange';

/** The first bytes of the scratch as one value: a number up to 4 bytes, a bigint for 8. */
function scratchBits(width: number): number | bigint {
  if (width === 8) return scratch.u64[0] as bigint;
  if (width === 4) return scratch.u32[0] as number;
  return (width === 2 ? scratch.u16[0] : scratch.u8[0]) as number;
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
  if (typeof expected === 'bigint' || typeof desired === 'bigint') {
    return Atomics.compareExchange(piece.u64, at / 8, BigInt(expected), BigInt(desired));
  }
  if (width === 4) return Atomics.compareExchange(piece.u32, at / 4, expected, desired);
  if (width === 2) return Atomics.compareExchange(piece.u16, at / 2, expected, desired);
  return Atomics.compareExchange(piece.u8, at - piece.skew, expected, desired);
}
