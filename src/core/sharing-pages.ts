import type { MemoryBacking } from './backing.ts';
import { GuestMemoryError } from './errors.ts';
import { PageRights, type SharedPageRights } from './page-rights.ts';
import {
  type OnDemandKind,
  onDemand,
  type PageSource,
  type PagesInCommon,
  ZEROS,
} from './pages-on-demand.ts';
import {
  type BufferOfHandle,
  isSharedBuffer,
  type SharedBufferHandle,
  shareBuffer,
} from './shared-buffer.ts';

/** Memory on demand as plain data that a Worker can be sent: all of its pages, for a region may be a part of it. */
export interface SharedPagesHandle {
  readonly kind: OnDemandKind;
  readonly size: number;
  /** Pages that begin as zeros: nobody needs a source. */
  readonly zeroed: boolean;
  readonly mapped: readonly {
    readonly source: SharedBufferHandle;
    readonly offset: number;
    readonly size: number;
  }[];
  readonly presence: SharedPageRights;
  readonly states: Int32Array;
}

/** The handle of pages on demand; `undefined` where they are private to this thread. */
export function sharePages(pages: PagesInCommon): SharedPagesHandle | undefined {
  const { kind, size, zeroed, states } = pages;
  const mapped: SharedPagesHandle['mapped'][number][] = [];
  for (const { buffer, byteOffset, length } of pages.mapped) {
    if (!isSharedBuffer(buffer)) return undefined;
    mapped.push({ source: shareBuffer(buffer, undefined), offset: byteOffset, size: length });
  }
  return { kind, size, zeroed, mapped, presence: pages.presence.share(), states };
}

/** The memory of such a handle in this thread, which brings pages from a source of its own. */
export function attachPages(
  handle: SharedPagesHandle,
  bufferOf: BufferOfHandle,
  source: PageSource | undefined,
): MemoryBacking {
  const { kind, size, zeroed, states } = handle;
  const mapped = handle.mapped.map(
    (piece) => new Uint8Array(bufferOf(piece.source).buffer, piece.offset, piece.size),
  );
  const presence = PageRights.attach(handle.presence);
  const pages = { kind, size, zeroed, mapped, presence, states };
  return onDemand(pages, source ?? (zeroed ? ZEROS : noSource));
}

/** Functions cannot be posted: who attaches brings his own, or uses the pages that others have brought. */
function noSource(offset: number): never {
  throw new GuestMemoryError(
    'unsupported',
    `no thread has brought the page at offset ${offset}, and this one has no source; attach with one`,
    { operation: 'bring a page' },
  );
}
