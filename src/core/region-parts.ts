import type { MemoryBacking } from './backing.ts';
import type { DirtyLog } from './dirty-log.ts';
import type { PageRights } from './page-rights.ts';

/** Protection of a view, as it concerns one region: the rights, and the region's offset in what they cover. */
export interface Guard {
  readonly rights: PageRights;
  readonly offset: number;
}

/** A log of written pages, and the region's offset in what it covers. */
export interface Mark {
  readonly log: DirtyLog;
  readonly offset: number;
}

/** What stands between an access and the bytes of a region, beside the region itself. */
export interface RegionExtras {
  readonly guards: readonly Guard[];
  readonly marks: readonly Mark[];
}

/** What a {@link Region} is made of. */
export interface RegionParts {
  readonly start: number;
  readonly size: number;
  readonly backing: MemoryBacking;
  /** Its host bytes, `size` of them; none for a region of calls. */
  readonly piece: Uint8Array | undefined;
  /** Offset of its first byte in its backing. */
  readonly backingOffset: number;
  readonly readOnly: boolean;
  readonly extras?: RegionExtras;
}

export const NO_EXTRAS: RegionExtras = { guards: [], marks: [] };
