import type { Access } from './access.ts';
import { ADDRESS_SPACE_SIZE, isGpa } from './addresses.ts';
import { isGuestMemoryError } from './errors.ts';
import type { Layout } from './layout.ts';
import { FILL_CHUNK, type Region } from './region.ts';
import { ScalarAccess } from './scalar-access.ts';
import { scratch } from './scratch.ts';

/** What a range operation does with one piece of the range; `moved` is how far the range has come. */
type PieceStep = (piece: Region, offset: number, length: number, moved: number) => void;

/** Ranges of bytes: exact ones, which are all-or-nothing, and partial ones, which say how far they came (SPEC M3). */
export abstract class BulkAccess extends ScalarAccess {
  /**
   * Copies `length` bytes from `gpa` into `dest` at `destOffset`. `dest` may lie in shared memory.
   *
   * @throws GuestMemoryError before the first byte: `invalid`, `unmapped`, `denied`, `closed`; `fault` or what the
   * backing threw, with `done`, where a region of calls failed half-way
   */
  readAt(gpa: number, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): void {
    this.checkBuffer(dest, destOffset, length, 'read');
    const region = this.nearRange(gpa, length);
    if (region !== undefined) region.copyOut((gpa - region.start) >>> 0, dest, destOffset, length);
    else if (!this.copyPlain(gpa, length, dest, destOffset, 'read'))
      this.readPieces(gpa, dest, destOffset, length);
  }

  /**
   * Copies `length` bytes from `src` at `srcOffset` to `gpa`. `src` may lie in shared memory.
   *
   * @throws GuestMemoryError as {@link readAt}
   */
  writeAt(gpa: number, src: Uint8Array, srcOffset = 0, length: number = src.length - srcOffset): void {
    this.checkBuffer(src, srcOffset, length, 'write');
    const region = this.nearWritableRange(gpa, length);
    if (region !== undefined) region.copyIn((gpa - region.start) >>> 0, src, srcOffset, length);
    else if (!this.copyPlain(gpa, length, src, srcOffset, 'write'))
      this.writePieces(gpa, src, srcOffset, length);
  }

  /**
   * Sets `length` bytes from `gpa` on to `value`, a whole number from 0 to 255.
   *
   * @throws GuestMemoryError as {@link readAt}
   */
  fillAt(gpa: number, value: number, length: number): void {
    if ((value & 0xff) !== value) {
      throw this.error('invalid', `current value ${value}, wanted a whole number from 0 to 255`, {
        operation: 'fill',
        gpa,
        length,
      });
    }
    const region = this.nearWritableRange(gpa, length);
    if (region !== undefined) region.fill((gpa - region.start) >>> 0, value, length);
    else this.fillPieces(gpa, value, length);
  }

  /** The `length` bytes from `gpa` on, as a copy of their own. Nothing is allocated for a range that is not there. */
  readBytes(gpa: number, length: number): Uint8Array {
    this.settle(gpa, length, 'read', 'read');
    const bytes = this.newBytes(length, 'read', gpa);
    this.readAt(gpa, bytes);
    return bytes;
  }

  /** Reads a value by its layout. One of 1, 2, 4 or 8 bytes that is aligned never tears. */
  readPlain<T>(type: Layout<T>, gpa: number): T {
    if (isScalarSize(type.size)) {
      this.fetch(gpa, type.size);
      return type.decode(scratch.view, 0);
    }
    const bytes = new Uint8Array(type.size);
    this.readAt(gpa, bytes);
    return type.decode(new DataView(bytes.buffer), 0);
  }

  /** Writes a value by its layout. One of 1, 2, 4 or 8 bytes that is aligned never tears. */
  writePlain<T>(type: Layout<T>, gpa: number, value: T): void {
    if (isScalarSize(type.size)) {
      type.encode(scratch.view, 0, value);
      this.put(gpa, type.size);
      return;
    }
    const bytes = new Uint8Array(type.size);
    type.encode(new DataView(bytes.buffer), 0, value);
    this.writeAt(gpa, bytes);
  }

  /**
   * The bytes from `gpa` to the first zero byte, as UTF-8 text.
   *
   * @throws GuestMemoryError `too-large` where no zero byte comes within `max` bytes; else as {@link readAt}, for the
   * bytes up to the zero byte only
   */
  readCString(gpa: number, max: number): string {
    const operation = 'read a string';
    this.checkNumbers(gpa, max, operation);
    const parts: number[] = [];
    const chunk = new Uint8Array(64);
    while (parts.length < max) {
      const at = gpa + parts.length;
      const count = this.read(at, chunk, 0, Math.min(chunk.length, max - parts.length));
      const zero = chunk.subarray(0, count).indexOf(0);
      parts.push(...chunk.subarray(0, zero < 0 ? count : zero));
      if (zero >= 0) return decodeUtf8(Uint8Array.from(parts));
    }
    throw this.error('too-large', `no zero byte within ${max} bytes`, { operation, gpa, length: max });
  }

  /**
   * Copies as many of `length` bytes as follow one another from `gpa` on, and says how many.
   *
   * @returns bytes copied; less than `length` where a hole, a refusal or the end of a region of calls comes first
   * @throws GuestMemoryError as {@link readAt} where not even the first byte is there
   */
  read(gpa: number, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): number {
    this.checkBuffer(dest, destOffset, length, 'read');
    const count = this.reachableOrThrow(gpa, length, 'read', 'read');
    try {
      this.readAt(gpa, dest, destOffset, count);
      return count;
    } catch (error) {
      return movedBefore(error);
    }
  }

  /**
   * Stores as many of `length` bytes as there is memory for from `gpa` on, and says how many.
   *
   * @returns bytes stored
   * @throws GuestMemoryError as {@link writeAt} where not even the first byte is there
   */
  write(gpa: number, src: Uint8Array, srcOffset = 0, length: number = src.length - srcOffset): number {
    this.checkBuffer(src, srcOffset, length, 'write');
    const count = this.reachableOrThrow(gpa, length, 'write', 'write');
    try {
      this.writeAt(gpa, src, srcOffset, count);
      return count;
    } catch (error) {
      return movedBefore(error);
    }
  }

  /**
   * How many bytes from `gpa` on can be accessed now, at most `length`. Never throws for a number: from an address that
   * is none, or whose page cannot be brought, 0 bytes can; {@link probe} says why.
   */
  reach(gpa: number, length: number, access: Access = 'read'): number {
    if (!isGpa(gpa) || !isGpa(length)) return 0;
    try {
      return this.reachable(gpa, Math.min(length, ADDRESS_SPACE_SIZE - gpa), access, 'probe', true);
    } catch (error) {
      if (isGuestMemoryError(error)) return 0;
      throw error;
    }
  }

  /** True where all `length` bytes from `gpa` on can be accessed; an empty range is there at any valid address. */
  checkRange(gpa: number, length: number, access: Access = 'read'): boolean {
    return isGpa(gpa) && isGpa(length) && this.reach(gpa, length, access) === length;
  }

  /** Throws what an access to the range would throw, and touches nothing. */
  probe(gpa: number, length: number, access: Access = 'read'): void {
    this.settle(gpa, length, access, 'probe');
  }

  // The three slow roads are methods of their own: a closure in the quick ones would cost each call an object for what
  // it captures, though it is never made.

  private readPieces(gpa: number, dest: Uint8Array, destOffset: number, length: number): void {
    this.eachPiece(gpa, length, 'read', 'read', (piece, at, count, moved) =>
      piece.copyOut(at, dest, destOffset + moved, count),
    );
  }

  private writePieces(gpa: number, src: Uint8Array, srcOffset: number, length: number): void {
    this.eachPiece(gpa, length, 'write', 'write', (piece, at, count, moved) =>
      piece.copyIn(at, src, srcOffset + moved, count),
    );
  }

  private fillPieces(gpa: number, value: number, length: number): void {
    this.eachPiece(gpa, length, 'write', 'fill', (piece, at, count) => piece.fill(at, value, count));
  }

  /** Copies a range of one or two plain pieces; answers false, and has done nothing, where it is none. */
  private copyPlain(
    gpa: number,
    length: number,
    buffer: Uint8Array,
    offset: number,
    access: 'read' | 'write',
  ): boolean {
    const index = this.plainPieces(gpa, length, access);
    if (index < 0) return false;
    const piece = this.map.pieces[index] as Region;
    const next = this.map.pieces[index + 1];
    const at = (gpa - piece.start) >>> 0;
    const head = Math.min(length, piece.size - at);
    if (access === 'read') {
      piece.copyOut(at, buffer, offset, head);
      if (head < length) next?.copyOut(0, buffer, offset + head, length - head);
    } else {
      piece.copyIn(at, buffer, offset, head);
      if (head < length) next?.copyIn(0, buffer, offset + head, length - head);
    }
    return true;
  }

  private reachableOrThrow(gpa: number, length: number, access: Access, operation: string): number {
    this.checkNumbers(gpa, length, operation);
    const count = this.reachable(gpa, length, access, operation, true);
    if (count === 0 && length > 0) throw this.refusal(gpa, length, gpa, access, operation);
    return count;
  }

  /** Settles a range, then takes one step for each piece of it; the shape of every range operation. */
  protected eachPiece(gpa: number, length: number, access: Access, operation: string, step: PieceStep): void {
    let index = this.settle(gpa, length, access, operation);
    const end = gpa + length;
    for (let at = gpa; at < end; ) {
      const piece = this.map.pieces[index] as Region;
      const offset = at - piece.start;
      let count = Math.min(end, piece.end) - at;
      if (piece.fallback !== undefined && count > FILL_CHUNK && operation === 'fill') count = FILL_CHUNK;
      try {
        step(piece, offset, count, at - gpa);
      } catch (cause) {
        throw this.failure(cause, gpa, length, at, operation);
      }
      this.checkOpen(piece, gpa, length, operation);
      at += count;
      if (offset + count === piece.size) index++;
    }
  }

  /** A buffer for a copy; the engine's own refusal becomes one of this memory. */
  protected newBytes(length: number, operation: string, gpa: number): Uint8Array {
    try {
      return new Uint8Array(length);
    } catch (cause) {
      throw this.error('too-large', 'the engine has no room for a copy', { operation, gpa, length, cause });
    }
  }

  protected checkBuffer(buffer: Uint8Array, offset: number, length: number, operation: string): void {
    if (!fits(buffer, offset, length)) {
      throw this.error(
        'invalid',
        `current buffer range ${offset}+${length}, wanted one inside its ${buffer.length} bytes`,
        { operation },
      );
    }
  }
}

/** How far a partial call came before a backing failed; the next one, from there, says why. */
function movedBefore(error: unknown): number {
  if (isGuestMemoryError(error) && error.done > 0) return error.done;
  throw error;
}

/** True where `length` bytes from `offset` on lie inside the buffer; both are whole numbers then. */
function fits(buffer: Uint8Array, offset: number, length: number): boolean {
  return (
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    length <= buffer.length - offset
  );
}

declare class TextDecoder {
  decode(bytes: Uint8Array): string;
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function isScalarSize(size: number): boolean {
  return size === 8 || size === 4 || size === 2 || size === 1;
}
