import type { Access } from './access.ts';
import { ADDRESS_SPACE_SIZE, isGpa, PAGE_SIZE } from './addresses.ts';
import { lendCallBuffer, returnCallBuffer } from './call-buffers.ts';
import { GuestMemoryError, type GuestMemoryErrorCode, isGuestMemoryError } from './errors.ts';
import { hex } from './hex.ts';
import type { MemoryMap } from './memory-map.ts';
import type { Region } from './region.ts';
import { scratch } from './scratch.ts';

const PARTICIPLE: Readonly<Record<Access, string>> = { read: 'read', write: 'written', execute: 'executed' };

/**
 * The one door to guest memory: it finds the region behind an address, checks the whole range, and makes the errors.
 * Every operation of {@link GuestMemory} is a few lines on top of it, and what later stands between an access and
 * its bytes (protection, faults, dirty marks) stands here and in {@link Region}.
 *
 * Two roads lead through it. The quick one asks a region whether an aligned scalar is one plain element access there
 * ({@link Region.holds}): first `home`, then `hint`. The slow one, `settle` and then the region's methods, serves
 * everything: seams, unaligned scalars, calls, refusals.
 */
export abstract class MemoryDoor {
  /** Name used in errors and listings. */
  readonly name: string;
  protected readonly map: MemoryMap;
  /** For a subrange: its first address in the memory it was cut from; else 0. */
  readonly origin: number;
  // Copies of the map's fields, one load nearer to the hot path. All are constant: a field that is written after
  // construction would cost every access of every instance (0.9 ns became 1.6).
  protected readonly home: Region;
  protected readonly hints: readonly Region[];
  protected readonly hintStart: number;
  protected readonly hintScale: number;

  protected constructor(map: MemoryMap, name: string, origin: number) {
    this.name = name;
    this.map = map;
    this.origin = origin;
    this.home = map.home;
    this.hints = map.hints;
    this.hintStart = map.hintStart;
    this.hintScale = map.hintScale;
  }

  /** A region to try when the home region does not hold an address. Any address is answered; nothing is promised. */
  protected hint(gpa: number): Region {
    return this.hints[((gpa - this.hintStart) * this.hintScale) & 255] as Region;
  }

  /** The region where a whole range is plain mapped bytes, if a quick look finds it. */
  protected nearRange(gpa: number, length: number): Region | undefined {
    if (length >>> 0 !== length) return undefined;
    const home = this.home;
    const offset = gpa - home.start;
    if (offset >>> 0 === offset && offset < home.size)
      return length <= home.readLimit - offset ? home : undefined;
    const hint = this.hint(gpa);
    const hintOffset = gpa - hint.start;
    return hintOffset >>> 0 === hintOffset && length <= hint.readLimit - hintOffset ? hint : undefined;
  }

  /** {@link MemoryDoor.nearRange} for a write. */
  protected nearWritableRange(gpa: number, length: number): Region | undefined {
    if (length >>> 0 !== length) return undefined;
    const home = this.home;
    const offset = gpa - home.start;
    if (offset >>> 0 === offset && offset < home.size)
      return length <= home.writeLimit - offset ? home : undefined;
    const hint = this.hint(gpa);
    const hintOffset = gpa - hint.start;
    return hintOffset >>> 0 === hintOffset && length <= hint.writeLimit - hintOffset ? hint : undefined;
  }

  /**
   * Index of the first of one or two pieces that a range lies in and that are plain: no rule and no call stands before their
   * bytes, so that nothing can fail any more. -1 where that is not so, or the numbers are none.
   */
  protected plainPieces(gpa: number, length: number, access: 'read' | 'write'): number {
    const { pieces } = this.map;
    const index = this.map.indexOf(gpa);
    const piece = pieces[index];
    if (piece === undefined) return -1;
    const offset = gpa - piece.start;
    if (offset >>> 0 !== offset) return -1;
    const limit = access === 'read' ? piece.readLimit : piece.writeLimit;
    if (length <= limit - offset) return index;
    const next = pieces[index + 1];
    const head = piece.size - offset;
    return limit === piece.size &&
      next !== undefined &&
      next.start === gpa + head &&
      length - head <= (access === 'read' ? next.readLimit : next.writeLimit)
      ? index
      : -1;
  }

  /**
   * Bytes from `gpa` on that can be accessed, at most `length`. The range is valid.
   *
   * @param partial - what a later region throws only ends the reach
   */
  protected reachable(
    gpa: number,
    length: number,
    access: Access,
    operation: string,
    partial: boolean,
  ): number {
    const pieces = this.map.pieces;
    const end = gpa + length;
    let index = this.map.indexOf(gpa);
    if (index < 0) return 0;
    for (let at = gpa; at < end; index++) {
      const piece = pieces[index];
      if (piece === undefined || piece.start > at) return at - gpa;
      const wanted = Math.min(end, piece.end) - at;
      let got: number;
      try {
        got = piece.reach(at - piece.start, wanted, access);
      } catch (cause) {
        if (partial && at > gpa) return at - gpa;
        throw this.failure(cause, gpa, length, at, operation, 0);
      }
      if (got < wanted) return at - gpa + got;
      at += wanted;
    }
    return length;
  }

  /** {@link Region.own} of a range in one piece that was settled. */
  protected ownPages(piece: Region, gpa: number, length: number, access: Access, operation: string): number {
    try {
      return piece.own(gpa - piece.start, length, access);
    } catch (cause) {
      throw this.failure(cause, gpa, length, gpa, operation, 0);
    }
  }

  /**
   * Settles a range before its first byte is touched (SPEC M3): valid numbers, every byte there, every right given.
   *
   * @returns index of the first piece in the map; -1 for an empty range
   */
  protected settle(gpa: number, length: number, access: Access, operation: string): number {
    this.checkNumbers(gpa, length, operation);
    const reached = this.reachable(gpa, length, access, operation, false);
    if (reached < length) throw this.refusal(gpa, length, gpa + reached, access, operation);
    return length === 0 ? -1 : this.map.indexOf(gpa);
  }

  /** SPEC M4: what is not a whole number in the space is `invalid` before anything happens. */
  protected checkNumbers(gpa: number, length: number, operation: string): void {
    if (!isGpa(gpa))
      throw this.error('invalid', `current address ${gpa}, wanted a whole number from 0 to 2^53-1`, {
        operation,
        length,
      });
    if (!isGpa(length))
      throw this.error('invalid', `current length ${length}, wanted a whole number of at least 0`, {
        operation,
        gpa,
      });
    if (length > ADDRESS_SPACE_SIZE - gpa)
      throw this.error('invalid', 'the range runs past the end of the 2^53 space', {
        operation,
        gpa,
        length,
      });
  }

  /** A scalar by the slow road, left in the scratch. Returns 0, its index there. */
  protected fetch(gpa: number, width: number): 0 {
    return this.moveScalar(gpa, width, 'read');
  }

  /** A scalar by the slow road, from the scratch. */
  protected put(gpa: number, width: number): void {
    this.moveScalar(gpa, width, 'write');
  }

  /**
   * Moves a scalar between the scratch and guest memory, wherever and however it lies: what {@link MemoryDoor.settle}
   * and a loop over the pieces would do.
   *
   * One long function on purpose. V8 takes functions of up to 460 bytecodes into their callers until 920 are reached;
   * shorter slow roads were taken in, and the quick ones then left out (64 bits as a number: 9 ns instead of 3.5).
   */
  private moveScalar(gpa: number, width: number, access: 'read' | 'write'): 0 {
    const plain = this.plainPieces(gpa, width, access);
    if (plain >= 0) return this.movePlain(plain, gpa, width, access);
    // What settling asks of a region of calls may use the scratch.
    const lo = scratch.u32[0] as number;
    const hi = scratch.u32[1] as number;
    this.checkNumbers(gpa, width, access);
    const pieces = this.map.pieces;
    let first = 0;
    for (let low = 0, high = pieces.length - 1; low <= high; ) {
      first = (low + high) >>> 1;
      const piece = pieces[first] as Region;
      if (gpa < piece.start) high = first - 1;
      else if (gpa - piece.start >= piece.size) low = first + 1;
      else break;
    }
    const end = gpa + width;
    for (let at = gpa, index = first; at < end; index++) {
      const piece = pieces[index];
      if (piece === undefined || at < piece.start || at >= piece.end)
        throw this.refusal(gpa, width, at, access, access);
      const wanted = Math.min(end, piece.end) - at;
      let got: number;
      try {
        got = piece.reach(at - piece.start, wanted, access);
      } catch (cause) {
        throw this.failure(cause, gpa, width, at, access, 0);
      }
      if (got < wanted) throw this.refusal(gpa, width, at + got, access, access);
      at += wanted;
    }
    scratch.u32[0] = lo;
    scratch.u32[1] = hi;
    const whole = pieces[first] as Region;
    if (end > whole.end) this.moveAcross(first, gpa, width, access);
    else {
      try {
        if (access === 'read') whole.fetch(gpa - whole.start, width);
        else whole.put(gpa - whole.start, width);
      } catch (cause) {
        throw this.failure(cause, gpa, width, gpa, access);
      }
    }
    for (let index = first; index < pieces.length && (pieces[index] as Region).start < end; index++) {
      this.checkOpen(pieces[index] as Region, gpa, width, access);
    }
    return 0;
  }

  /** A scalar in plain memory, where it is not aligned, lies over a seam, or in a region that no quick look found. */
  private movePlain(index: number, gpa: number, width: number, access: 'read' | 'write'): 0 {
    const piece = this.map.pieces[index] as Region;
    const next = this.map.pieces[index + 1] as Region;
    const offset = (gpa - piece.start) >>> 0;
    const aligned = (offset & (width - 1)) === 0;
    const head = Math.min(width, piece.size - offset);
    const bytes = scratch.u8;
    if (access === 'read') {
      if (aligned && head === width) piece.load(offset, width);
      else {
        for (let i = 0; i < head; i++) bytes[i] = piece.u8[offset + i] as number;
        for (let i = head; i < width; i++) bytes[i] = next.u8[i - head] as number;
      }
      return 0;
    }
    if (aligned && head === width) piece.store(offset, width);
    else {
      for (let i = 0; i < head; i++) piece.u8[offset + i] = bytes[i] as number;
      for (let i = head; i < width; i++) next.u8[i - head] = bytes[i] as number;
    }
    piece.mark(offset, head);
    if (head < width) next.mark(0, width - head);
    return 0;
  }

  /** A settled scalar that lies in several pieces, piece by piece. */
  private moveAcross(first: number, gpa: number, width: number, access: 'read' | 'write'): void {
    const end = gpa + width;
    // Not the scratch itself: a region of calls may use that.
    const bytes = lendCallBuffer(8);
    let at = gpa;
    try {
      if (access === 'write') for (let i = 0; i < width; i++) bytes[i] = scratch.u8[i] as number;
      for (let index = first; at < end; index++) {
        const piece = this.map.pieces[index] as Region;
        const count = Math.min(end, piece.end) - at;
        if (access === 'read') piece.copyOut(at - piece.start, bytes, at - gpa, count);
        else piece.copyIn(at - piece.start, bytes, at - gpa, count);
        at += count;
      }
      if (access === 'read') for (let i = 0; i < width; i++) scratch.u8[i] = bytes[i] as number;
    } catch (cause) {
      throw this.failure(cause, gpa, width, at, access);
    } finally {
      returnCallBuffer();
    }
  }

  /** SPEC M15: the mapping may have gone while its bytes were moved; what was moved is then worth nothing. */
  protected checkOpen(piece: Region, gpa: number, length: number, operation: string): void {
    if (piece.closed)
      throw this.error('closed', 'the mapping behind it was closed', {
        operation,
        gpa,
        length,
        failedAt: gpa,
      });
  }

  /** Why a range that is not wholly accessible is refused. */
  protected refusal(
    gpa: number,
    length: number,
    failedAt: number,
    access: Access,
    operation: string,
  ): GuestMemoryError {
    const facts = { operation, gpa, length, failedAt };
    const piece = this.map.pieces[this.map.indexOf(failedAt)];
    if (piece === undefined) return this.error('unmapped', `no region at ${this.place(failedAt)}`, facts);
    if (piece.closed)
      return this.error('closed', `the mapping behind ${this.place(failedAt)} was closed`, facts);
    if (access === 'write' && piece.readOnly)
      return this.error('denied', `${this.place(failedAt)} is read-only`, facts);
    const offset = failedAt - piece.start;
    for (const { rights, offset: base } of piece.extras.guards) {
      if (rights.reach(base + offset, 1, access) > 0) continue;
      // Pages count from the start of what the rights cover; in a subrange one may begin before address 0.
      const page = hex(this.origin + failedAt - ((base + offset) % PAGE_SIZE));
      const where = this.origin === 0 ? page : `${page} of the whole memory`;
      return this.error('denied', `the page at ${where} may not be ${PARTICIPLE[access]}`, facts);
    }
    let cause: unknown;
    try {
      // A later page's fault only ends the reach: asked again, as the first, it says why.
      if (piece.presence !== undefined) piece.reach(offset, 1, access);
      cause = piece.fallback?.explain?.(piece.backingOffset + offset, access);
    } catch (thrown) {
      return this.failure(thrown, gpa, length, failedAt, operation, 0);
    }
    const code = isGuestMemoryError(cause) ? cause.code : 'fault';
    return this.error(code, `the ${piece.backing.kind} region cannot ${access} at ${this.place(failedAt)}`, {
      ...facts,
      cause,
    });
  }

  /**
   * What a backing threw in the middle of an access, as an error of this memory.
   *
   * @param done - bytes that were moved; default: those before `failedAt`, and what the backing says that it moved from there
   */
  protected failure(
    cause: unknown,
    gpa: number,
    length: number,
    failedAt: number,
    operation: string,
    done?: number,
  ): GuestMemoryError {
    const inner = isGuestMemoryError(cause) ? cause : undefined;
    // Where a memory stands behind the backing, it may have moved a part of what it was asked for.
    const moved = done === undefined ? Math.min(inner?.done ?? 0, gpa + length - failedAt) : 0;
    const at = failedAt + moved;
    return this.error(inner?.code ?? 'fault', `the backing failed at ${this.place(at)}`, {
      operation,
      gpa,
      length,
      failedAt: at,
      done: done ?? at - gpa,
      ready: inner?.ready,
      cause,
    });
  }

  protected error(
    code: GuestMemoryErrorCode,
    reason: string,
    facts: ConstructorParameters<typeof GuestMemoryError>[2],
  ): GuestMemoryError {
    return new GuestMemoryError(code, reason, { memory: this.name, ...facts });
  }

  /** An address in words; for a subrange also as the whole memory counts. */
  private place(gpa: number): string {
    return this.origin === 0 ? hex(gpa) : `${hex(gpa)} (${hex(gpa + this.origin)} in the whole memory)`;
  }
}
