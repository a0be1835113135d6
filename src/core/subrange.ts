import type { MapEntry, MemoryMap } from './memory-map.ts';
import type { Region } from './region.ts';

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
  return piece.cut(start - piece.start, end - start, start - origin);
}
