import type { FallbackAccess, MemoryBacking } from './backing.ts';
import { closeWithBacking, type MapEntry, type MemoryMap } from './memory-map.ts';
import { Region } from './region.ts';

/** The regions of a part of a map, cut to the part and counted from its start. They share the bytes. */
export function subrangeInits(map: MemoryMap, offset: number, length: number): MapEntry[] {
  const end = offset + length;
  const entries: MapEntry[] = [];
  for (const { region, pieces } of map.entries) {
    const from = Math.max(region.start, offset);
    const to = Math.min(region.end, end);
    if (from >= to) continue;
    const cut = pieces
      .filter((piece) => piece.start < to && piece.end > from)
      .map((piece) => cutPiece(piece, from, to, offset));
    entries.push({
      region: Object.freeze({ ...region, start: from - offset, size: to - from, end: to - offset }),
      pieces: cut,
    });
  }
  return entries;
}

function cutPiece(piece: Region, from: number, to: number, origin: number): Region {
  const start = Math.max(piece.start, from);
  const end = Math.min(piece.end, to);
  const skip = start - piece.start;
  const bytes = piece.bytes()?.subarray(skip, skip + end - start);
  const backing = bytes === undefined ? cutCalls(piece, skip, end - start) : piece.backing;
  const cut = new Region(start - origin, backing, bytes, piece.backingOffset + skip, piece.readOnly);
  if (piece.closed) cut.close();
  else closeWithBacking(cut);
  return cut;
}

/** A part of a region of calls: the same calls, further on. */
function cutCalls(piece: Region, skip: number, size: number): MemoryBacking {
  const calls = piece.fallback;
  if (calls === undefined) return { ...piece.backing, size };
  const { backing } = piece;
  const { write, compareExchange, probe, explain } = calls;
  const fallback: FallbackAccess = {
    read: (offset, dest) => calls.read(skip + offset, dest),
    ...(write && { write: (offset, src) => write.call(calls, skip + offset, src) }),
    ...(compareExchange && {
      compareExchange: (offset, expected, desired) =>
        compareExchange.call(calls, skip + offset, expected, desired),
    }),
    ...(probe && { probe: (offset, length, access) => probe.call(calls, skip + offset, length, access) }),
    ...(explain && { explain: (offset, access) => explain.call(calls, skip + offset, access) }),
  };
  return {
    kind: backing.kind,
    size,
    fallback,
    ...(backing.readOnly !== undefined && { readOnly: backing.readOnly }),
    ...(backing.iova !== undefined && { iova: backing.iova }),
    // Through the backing, for its methods may live on its class.
    ...(backing.onClose && { onClose: (listener) => backing.onClose?.(listener) }),
  };
}
