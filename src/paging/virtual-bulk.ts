import { type Access, isGpa, isGuestMemoryError, type Layout } from '../core/index.ts';
import { VirtualScalars } from './virtual-scalars.ts';

/** Addresses in the whole space. */
const SPACE = 2n ** 64n;

/** Ranges of virtual memory: exact calls, all-or-nothing over all their pages, and partial ones (SPEC M3, T9). */
export abstract class VirtualBulk extends VirtualScalars {
  /**
   * Reads exactly `length` bytes, or none.
   *
   * @throws GuestMemoryError before the first byte: `fault` with the fault as its cause; `invalid`; else what the
   * physical memory answers
   */
  readAt(gva: bigint, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): void {
    this.checkRoom(dest, destOffset, length, 'read');
    const gpa = this.nearRange(gva, length, this.readCode);
    if (gpa >= 0) this.memory.readAt(gpa, dest, destOffset, length);
    else this.copyOut(gva, dest, destOffset, length, 'read', 'read');
  }

  /**
   * Writes exactly `length` bytes, or none: every page has to be writable.
   *
   * @throws GuestMemoryError as {@link readAt}
   */
  writeAt(gva: bigint, src: Uint8Array, srcOffset = 0, length: number = src.length - srcOffset): void {
    this.checkRoom(src, srcOffset, length, 'write');
    const gpa = this.nearRange(gva, length, this.writeCode);
    if (gpa >= 0) {
      this.memory.writeAt(gpa, src, srcOffset, length);
      return;
    }
    const runs = this.settle(gva, length, 'write', 'write');
    this.eachRun(runs, gva, 'write', (at, count, moved) =>
      this.memory.writeAt(at, src, srcOffset + moved, count),
    );
  }

  /**
   * Reads exactly `length` bytes as instruction fetches do, or none: every page has to be executable, in the tables and
   * in the memory, which has to let them be read as well.
   *
   * @throws GuestMemoryError as {@link readAt}
   */
  fetchAt(gva: bigint, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): void {
    this.checkRoom(dest, destOffset, length, 'fetch');
    this.copyOut(gva, dest, destOffset, length, 'execute', 'fetch');
  }

  /**
   * Sets `length` bytes to `value`, a whole number from 0 to 255; all of them, or none.
   *
   * @throws GuestMemoryError as {@link readAt}
   */
  fillAt(gva: bigint, value: number, length: number): void {
    this.checkLength(length, 'fill');
    if ((value & 0xff) !== value) {
      throw this.error('invalid', `current value ${value}, wanted a whole number from 0 to 255`, {
        operation: 'fill',
        length,
      });
    }
    const runs = this.settle(gva, length, 'write', 'fill');
    this.eachRun(runs, gva, 'fill', (at, count) => this.memory.fillAt(at, value, count));
  }

  /** Reads exactly `length` bytes into a new array. Nothing is allocated for a range that is not there. */
  readBytes(gva: bigint, length: number): Uint8Array {
    this.checkLength(length, 'read');
    const runs = this.settle(gva, length, 'read', 'read');
    const bytes = this.newBytes(length, 'read');
    this.eachRun(runs, gva, 'read', (at, count, moved) => this.memory.readAt(at, bytes, moved, count));
    return bytes;
  }

  /** Reads a value by its layout. One of 1, 2, 4 or 8 bytes that is aligned never tears. */
  readPlain<T>(type: Layout<T>, gva: bigint): T {
    const gpa = this.nearRange(gva, type.size, this.readCode);
    return gpa >= 0 ? this.memory.readPlain(type, gpa) : this.readAcross(type, gva);
  }

  /** Writes a value by its layout. One of 1, 2, 4 or 8 bytes that is aligned never tears. */
  writePlain<T>(type: Layout<T>, gva: bigint, value: T): void {
    const gpa = this.nearRange(gva, type.size, this.writeCode);
    if (gpa >= 0) this.memory.writePlain(type, gpa, value);
    else this.writeAcross(type, gva, value);
  }

  /**
   * The bytes from `gva` to the first zero byte, as UTF-8 text.
   *
   * @throws GuestMemoryError `too-large` where no zero byte comes within `max` bytes; else as {@link readAt}, for the
   * bytes up to the zero byte only
   */
  readCString(gva: bigint, max: number): string {
    const operation = 'read a string';
    this.checkLength(max, operation);
    this.checkEnd(gva, 0, operation);
    const parts: number[] = [];
    const chunk = new Uint8Array(64);
    while (parts.length < max) {
      const at = gva + BigInt(parts.length);
      // The last addresses of the space have no room for a whole chunk.
      const room = Number(SPACE - at < 64n ? SPACE - at : 64n);
      const count = this.read(at, chunk, 0, Math.min(room, max - parts.length));
      const zero = chunk.subarray(0, count).indexOf(0);
      parts.push(...chunk.subarray(0, zero < 0 ? count : zero));
      if (zero >= 0) return decodeUtf8(Uint8Array.from(parts));
      if (count === room) this.checkEnd(gva, parts.length + 1, operation);
    }
    throw this.error('too-large', `no zero byte within ${max} bytes`, { operation, length: max });
  }

  /**
   * Reads up to the first byte that is not there and answers how many bytes that were.
   *
   * @throws GuestMemoryError as {@link readAt}, where not even the first byte is there
   */
  read(gva: bigint, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): number {
    this.checkRoom(dest, destOffset, length, 'read');
    return this.partly(gva, length, 'read', 'read', (gpa, count, done) =>
      this.memory.read(gpa, dest, destOffset + done, count),
    );
  }

  /**
   * Writes up to the first byte that is not there or may not be written, and answers how many bytes that were.
   *
   * @throws GuestMemoryError as {@link writeAt}, where not even the first byte is there
   */
  write(gva: bigint, src: Uint8Array, srcOffset = 0, length: number = src.length - srcOffset): number {
    this.checkRoom(src, srcOffset, length, 'write');
    return this.partly(gva, length, 'write', 'write', (gpa, count, done) =>
      this.memory.write(gpa, src, srcOffset + done, count),
    );
  }

  /**
   * {@link fetchAt} up to the first byte that cannot be fetched: for instructions of unknown length, of which the next
   * page may not be needed.
   *
   * @throws GuestMemoryError as {@link fetchAt}, where not even the first byte can be
   */
  fetch(gva: bigint, dest: Uint8Array, destOffset = 0, length: number = dest.length - destOffset): number {
    this.checkRoom(dest, destOffset, length, 'fetch');
    return this.partly(gva, length, 'execute', 'fetch', (gpa, count, done) => {
      const reached = this.memory.reach(gpa, count, 'execute');
      if (reached === 0) this.memory.probe(gpa, count, 'execute');
      return this.memory.read(gpa, dest, destOffset + done, reached);
    });
  }

  /**
   * True where all `length` bytes can be accessed. Never throws for an address or a length. It keeps nothing, however many pages
   * that are; it takes a translation for each 4 KiB, so that a length from a guest wants a bound.
   */
  checkRange(gva: bigint, length: number, access: Access = 'read'): boolean {
    if (!isGpa(length) || gva < 0n || gva >= SPACE || gva + BigInt(length) > SPACE) return false;
    try {
      this.probe(gva, length, access);
      return true;
    } catch (error) {
      if (isGuestMemoryError(error)) return false;
      throw error;
    }
  }

  /** Throws what an access to the range would throw, and touches no byte of it. It keeps nothing, as {@link checkRange}. */
  probe(gva: bigint, length: number, access: Access = 'read'): void {
    this.checkLength(length, 'probe');
    this.translateRange(gva, length, access, 'probe', () => {
      // That the memory has the run is all that is asked.
    });
  }

  /** A buffer for a copy; the engine's own refusal becomes one of this memory. */
  protected newBytes(length: number, operation: string): Uint8Array {
    try {
      return new Uint8Array(length);
    } catch (cause) {
      throw this.error('too-large', 'the engine has no room for a copy', { operation, length, cause });
    }
  }

  protected override readAcross<T>(type: Layout<T>, gva: bigint): T {
    return this.decoded(type, gva, 'read', 'read');
  }

  protected override writeAcross<T>(type: Layout<T>, gva: bigint, value: T): void {
    const bytes = this.newBytes(type.size, 'write');
    type.encode(new DataView(bytes.buffer), 0, value);
    this.writeAt(gva, bytes);
  }

  protected override fetchNear<T>(type: Layout<T>, gva: bigint): T {
    const gpa = this.nearRange(gva, type.size, this.executeCode);
    if (gpa >= 0 && this.memory.checkRange(gpa, type.size, 'execute'))
      return this.memory.readPlain(type, gpa);
    return this.decoded(type, gva, 'execute', 'fetch');
  }

  private decoded<T>(type: Layout<T>, gva: bigint, access: Access, operation: string): T {
    const bytes = this.newBytes(type.size, operation);
    this.copyOut(gva, bytes, 0, type.size, access, operation);
    return type.decode(new DataView(bytes.buffer), 0);
  }

  /** Physical address of a range that is not empty and lies within one page, or -1. */
  private nearRange(gva: bigint, length: number, code: number): number {
    return length > 0 && length <= 4096 ? this.near(gva, length, code) : -1;
  }

  private copyOut(
    gva: bigint,
    dest: Uint8Array,
    destOffset: number,
    length: number,
    access: Access,
    operation: string,
  ): void {
    const runs = this.settle(gva, length, access, operation);
    this.eachRun(runs, gva, operation, (at, count, moved) =>
      this.memory.readAt(at, dest, destOffset + moved, count),
    );
  }

  /** A partial call, page by page: what fails after the first byte only ends it. */
  private partly(
    gva: bigint,
    length: number,
    access: Access,
    operation: string,
    step: (gpa: number, length: number, done: number) => number,
  ): number {
    this.checkEnd(gva, length, operation);
    const code = this.codeOf(access);
    let done = 0;
    while (done < length) {
      const at = gva + BigInt(done);
      const wanted = Math.min(length - done, this.restOfPage(at));
      const gpa = this.translator.resolveGva(at, code);
      if (gpa < 0) {
        if (done > 0) return done;
        throw this.fault(at, length, at, code, operation);
      }
      let got: number;
      try {
        got = step(gpa, wanted, done);
      } catch (error) {
        if (done > 0 && isGuestMemoryError(error)) return done;
        throw error;
      }
      done += got;
      if (got < wanted) return done;
    }
    return done;
  }
}

declare class TextDecoder {
  decode(bytes: Uint8Array): string;
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
