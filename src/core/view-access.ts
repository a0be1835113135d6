import type { Access } from './access.ts';
import { isGpa, PAGE_SIZE } from './addresses.ts';
import { AtomicAccess } from './atomic-access.ts';
import { isGuestMemoryError } from './errors.ts';
import type { HostRun } from './host-run.ts';
import { LockedPages } from './locked-pages.ts';
import { type HostBytes, MemoryView, MemoryViews } from './memory-view.ts';
import { lockPage, unlockPages } from './page-locks.ts';
import type { Region } from './region.ts';

/** The ways to the host bytes themselves: translations, views, locked pages; and probes, which touch nothing. */
export abstract class ViewAccess extends AtomicAccess {
  /** See {@link HostTranslator}. Answers for mapped memory; a region of calls has no host bytes. */
  translateAndGetLimit(gpa: number, access: Access = 'read'): HostRun | undefined {
    this.checkNumbers(gpa, 0, 'translate');
    const piece = this.map.pieces[this.map.indexOf(gpa)];
    if (piece === undefined) return undefined;
    const offset = gpa - piece.start;
    const reached = this.reachable(gpa, translatable(piece, offset, access), access, 'translate', true);
    const limit = reached === 0 ? 0 : this.ownPages(piece, gpa, reached, access, 'translate');
    const bytes = limit === 0 ? undefined : hostBytes(piece, offset, limit, access);
    if (bytes === undefined) return undefined;
    if (access === 'write') piece.mark(offset, limit);
    return { buffer: bytes.buffer, byteOffset: bytes.byteOffset + offset, limit };
  }

  /** All of the memory as host bytes, where it is one mapped, writable region of one piece without any rules; else `undefined`. */
  fullMapping(): Uint8Array | undefined {
    const [piece, second] = this.map.pieces;
    return piece === undefined || second !== undefined || !piece.unruled ? undefined : piece.bytes();
  }

  /** Where a device that goes through no IOMMU reaches `gpa`, if the backing says; else `undefined`. */
  iova(gpa: number): number | undefined {
    this.checkNumbers(gpa, 0, 'find the IO address');
    const piece = this.map.pieces[this.map.indexOf(gpa)];
    const base = piece?.backing.iova;
    return piece === undefined || base === undefined || piece.closed
      ? undefined
      : base + piece.backingOffset + gpa - piece.start;
  }

  /**
   * Lends the host bytes of one contiguous run. Release the view when done.
   *
   * @throws GuestMemoryError `unsupported` on a region of calls, or where the range has a seam (take {@link views});
   * else as {@link readAt}
   */
  view(gpa: number, length: number, access: Access): MemoryView {
    const runs = this.runs(gpa, length, access);
    if (runs.length > 1) {
      throw this.error('unsupported', `the range lies in ${runs.length} runs on the host; take views()`, {
        operation: 'view',
        gpa,
        length,
      });
    }
    return new MemoryView(gpa, length, access, runs);
  }

  /**
   * Lends the host bytes of a range as a list of runs, for `fs.readv`, `fs.writev` and their like: a file reaches the
   * guest with no copy between. Release the views when done.
   *
   * @throws GuestMemoryError `unsupported` on a region of calls; else as {@link readAt}
   */
  views(gpa: number, length: number, access: Access): MemoryViews {
    return new MemoryViews(gpa, length, access, this.runs(gpa, length, access));
  }

  /** For functions of this package: the piece in which an aligned integer lies whole, with host bytes of its own. */
  integerPiece(gpa: number, width: number, access: 'read' | 'write', operation: string): Region {
    return this.settledPiece(gpa, width, access, operation, false);
  }

  private runs(gpa: number, length: number, access: Access): HostBytes[] {
    const runs: HostBytes[] = [];
    this.eachPiece(gpa, length, access, 'view', (piece, offset, count) => {
      const bytes =
        piece.own(offset, count, access) < count ? undefined : hostBytes(piece, offset, count, access);
      if (bytes !== undefined) {
        runs.push({ piece, offset, length: count, bytes: bytes.subarray(offset, offset + count) });
        return;
      }
      // What is lent is held where it lies: a log kept here would not hear of it.
      const logged = piece.extras.marks.length > 0;
      const lent = logged ? undefined : piece.fallback?.lend?.(piece.backingOffset + offset, count, access);
      if (lent === undefined) {
        throw this.error('unsupported', `a ${piece.backing.kind} region has no host bytes`, {
          operation: 'view',
          gpa,
          length,
        });
      }
      // The handle that these runs go into holds them from here on.
      for (const views of lent) {
        runs.push(...views.runs);
        views.release();
      }
    });
    return runs;
  }

  /**
   * Pins whole pages of 4 KiB, so that a kernel or another agent may work on them: until they are released their region
   * cannot be removed, nor their rights be taken away. Where one page fails, none is locked.
   *
   * @param options - `access`: what is going to be done, default `write`; `kernelAccess`: the host bytes go to the kernel,
   * of which the backing is told
   * @throws GuestMemoryError `unsupported` for a page without contiguous host bytes; else as an access to the whole page,
   * or what the backing's hook threw
   */
  lockGpns(
    gpns: readonly number[],
    options: { readonly access?: 'read' | 'write'; readonly kernelAccess?: boolean } = {},
  ): LockedPages {
    const { access = 'write', kernelAccess = false } = options;
    const held: HostBytes[] = [];
    try {
      for (const gpn of gpns) {
        this.probeGpns([gpn], access);
        const [page, second] = this.runs(gpn * PAGE_SIZE, PAGE_SIZE, access);
        if (page === undefined || second !== undefined) {
          throw this.error('unsupported', 'the page lies in two runs on the host', {
            operation: 'lock',
            gpa: gpn * PAGE_SIZE,
          });
        }
        const at = page.piece.backingOffset + page.offset;
        if (kernelAccess) page.piece.backing.expose?.(at, PAGE_SIZE);
        lockPage(page.piece.backing, at, access);
        held.push(page);
      }
    } catch (error) {
      const gpa = (gpns[held.length] ?? 0) * PAGE_SIZE;
      const errors = unlockPages(held, access);
      if (errors.length > 0)
        throw this.failure(new AggregateError([error, ...errors]), gpa, PAGE_SIZE, gpa, 'lock');
      throw isGuestMemoryError(error) ? error : this.failure(error, gpa, PAGE_SIZE, gpa, 'lock');
    }
    return new LockedPages(this.name, gpns, access, held);
  }

  /** Throws as a one-byte access to the first page that is not there would. */
  probeGpns(gpns: Iterable<number>, access: Access = 'read'): void {
    for (const gpn of gpns) {
      if (!isGpa(gpn) || !isGpa(gpn * PAGE_SIZE)) {
        throw this.error('invalid', `current page number ${gpn}, wanted one below 2^41`, {
          operation: 'probe',
        });
      }
      this.settle(gpn * PAGE_SIZE, 1, access, 'probe');
    }
  }

  /** True where the byte at `gpa` can be read. */
  checkGpaReadable(gpa: number): boolean {
    return this.checkRange(gpa, 1, 'read');
  }

  /** True where the byte at `gpa` can be written. */
  checkGpaWritable(gpa: number): boolean {
    return this.checkRange(gpa, 1, 'write');
  }
}

/** The host bytes of a range whose pages are its own: there for the access, or for writing, which is as good. */
function hostBytes(piece: Region, offset: number, length: number, access: Access): Uint8Array | undefined {
  return piece.direct(offset, length, access) ?? piece.direct(offset, length, 'write');
}

/**
 * How many bytes from `offset` on one translation answers at most. Rules change and logs are kept by pages, so that under
 * rules it ends with the page, or, where only rights are to be looked at, after 512 pages.
 */
function translatable(piece: Region, offset: number, access: Access): number {
  const rest = piece.size - offset;
  const { guards, marks } = piece.extras;
  if (piece.presence !== undefined || (access === 'write' && marks.length > 0)) {
    return Math.min(rest, PAGE_SIZE - ((piece.start + offset) % PAGE_SIZE));
  }
  return guards.length > 0 ? Math.min(rest, 512 * PAGE_SIZE) : rest;
}
