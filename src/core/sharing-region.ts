import type { MemoryBacking } from './backing.ts';
import { DirtyLog, type SharedDirtyLog } from './dirty-log.ts';
import { GuestMemoryError } from './errors.ts';
import type { MapEntry } from './memory-map.ts';
import { PageRights, type SharedPageRights } from './page-rights.ts';
import { type PageSource, pagesBehind } from './pages-on-demand.ts';
import { Region } from './region.ts';
import {
  type BufferOfHandle,
  isSharedBuffer,
  type SharedBufferHandle,
  shareBuffer,
} from './shared-buffer.ts';
import { attachPages, type SharedPagesHandle, sharePages } from './sharing-pages.ts';

/** Host bytes of a region, and the rules on them. */
export interface SharedPieceHandle {
  readonly size: number;
  readonly source: SharedBufferHandle;
  /** First byte in the buffer. */
  readonly offset: number;
  readonly guards: readonly { readonly rights: SharedPageRights; readonly offset: number }[];
  readonly marks: readonly { readonly log: SharedDirtyLog; readonly offset: number }[];
}

/** A region as plain data that a Worker can be sent. */
export interface SharedRegionHandle {
  readonly start: number;
  readonly size: number;
  readonly kind: string;
  readonly access: 'rw' | 'r';
  readonly iova?: number;
  readonly pieces: readonly SharedPieceHandle[];
  /** Of memory on demand: all of it, and where in it the region begins. */
  readonly onDemand?: { readonly pages: SharedPagesHandle; readonly offset: number };
}

/**
 * Where a thread that attaches gets the pages of a region on demand that no other thread has brought. It has to supply the
 * bytes that the owner's source supplies.
 */
export type SourceOfRegion = (region: SharedRegionHandle) => PageSource | undefined;

/**
 * The handle of a region.
 *
 * @throws GuestMemoryError `unsupported` where other threads cannot reach the region, or not by its rules; `closed`
 */
export function shareRegion(entry: MapEntry, memory: string): SharedRegionHandle {
  const { start, size, kind, access, backing } = entry.region;
  const [first] = entry.pieces;
  const refuse = (reason: string): GuestMemoryError => refusal('unsupported', entry, memory, reason);
  const call = callsOf(backing);
  if (call !== undefined) throw refuse(`it needs ${call} of this thread`);
  const behind = pagesBehind(backing);
  const pages = behind && sharePages(behind);
  if (behind !== undefined && pages === undefined)
    throw refuse('its pages are private to this thread; make it with { shared: true }');
  const pieces = entry.pieces.map((piece): SharedPieceHandle => {
    if (piece.closed) throw refusal('closed', entry, memory, 'its backing was closed');
    const { buffer, byteOffset } = piece.u8;
    if (!isSharedBuffer(buffer)) throw refuse('its bytes are private to this thread; make it with shared()');
    return {
      size: piece.size,
      source: shareBuffer(buffer, backing.wasm?.memory),
      offset: byteOffset,
      guards: piece.extras.guards.map(({ rights, offset }) => {
        const handle = rights.share();
        if (isSharedBuffer(handle.buffer)) return { rights: handle, offset };
        throw refuse('its page rights are private to this thread; make the view with { shared: true }');
      }),
      marks: piece.extras.marks.map(({ log, offset }) => {
        const handle = log.share();
        if (isSharedBuffer(handle.words.buffer)) return { log: handle, offset };
        throw refuse('its dirty log is private to this thread; track with { shared: true }');
      }),
    };
  });
  const iova = backing.iova === undefined ? undefined : backing.iova + (first?.backingOffset ?? 0);
  return {
    start,
    size,
    kind,
    access,
    pieces,
    ...(iova !== undefined && { iova }),
    ...(pages !== undefined && { onDemand: { pages, offset: first?.backingOffset ?? 0 } }),
  };
}

/** What of a backing is functions, which no other thread can call. */
function callsOf(backing: MemoryBacking): string | undefined {
  if (backing.mapped === undefined) return 'calls';
  if (pagesBehind(backing) !== undefined) return undefined;
  if (backing.presence !== undefined || backing.onFault !== undefined)
    return 'pages that are brought by calls';
  if (backing.lock !== undefined || backing.unlock !== undefined || backing.expose !== undefined)
    return 'hooks for locked pages';
  return undefined;
}

/** The region of a handle, in this thread. It stands on a backing of exactly its bytes, or on all the pages on demand. */
export function attachRegion(
  handle: SharedRegionHandle,
  bufferOf: BufferOfHandle,
  sourceOf?: SourceOfRegion,
): MapEntry {
  const { start, size, kind, access } = handle;
  const parts = handle.pieces.map((piece) => {
    const { buffer, wasm } = bufferOf(piece.source);
    // Of a WebAssembly.Memory that was cloned the buffer is a second object on the same bytes.
    const view = new Uint8Array(wasm?.buffer ?? buffer, piece.offset, piece.size);
    return { piece, wasm, view };
  });
  const [first] = parts;
  const wasm = first?.wasm;
  const plain: MemoryBacking = {
    kind,
    size,
    mapped: parts.map(({ view }) => view),
    readOnly: access === 'r',
    ...(handle.iova !== undefined && { iova: handle.iova }),
    ...(wasm !== undefined && { wasm: { memory: wasm, offset: first?.piece.offset ?? 0 } }),
  };
  const { onDemand } = handle;
  const backing = onDemand === undefined ? plain : attachPages(onDemand.pages, bufferOf, sourceOf?.(handle));
  const base = onDemand?.offset ?? 0;
  let offset = 0;
  const pieces = parts.map(({ piece, view }) => {
    const made = new Region({
      start: start + offset,
      size: piece.size,
      backing,
      piece: view,
      backingOffset: base + offset,
      readOnly: access === 'r',
      extras: {
        guards: piece.guards.map((guard) => ({ ...guard, rights: PageRights.attach(guard.rights) })),
        marks: piece.marks.map((mark) => ({ ...mark, log: new DirtyLog(mark.log) })),
      },
    });
    offset += piece.size;
    return made;
  });
  return { region: Object.freeze({ start, size, end: start + size, kind, access, backing }), pieces };
}

function refusal(
  code: 'unsupported' | 'closed',
  { region }: MapEntry,
  memory: string,
  reason: string,
): GuestMemoryError {
  return new GuestMemoryError(code, `the ${region.kind} region cannot be shared: ${reason}`, {
    operation: 'share',
    memory,
    gpa: region.start,
    length: region.size,
  });
}
