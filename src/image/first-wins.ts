/** A claim on addresses from `start` to `end` (exclusive). */
export interface Claim {
  readonly start: number;
  readonly end: number;
}

/** A stretch of addresses and the claim that has it. */
export interface Award<C extends Claim> {
  readonly start: number;
  readonly end: number;
  readonly claim: C;
}

/**
 * Settles overlapping claims: an address belongs to the first claim, in the order given, that contains it. Answers the
 * stretches in the order of addresses, and how many claims lost something.
 *
 * Takes n log n steps whatever the claims are (a dump with a million overlapping segments must not hang the reader):
 * addresses are cut at every edge, claims take the pieces that are still free, and a taken piece points to the next
 * free one, as in a disjoint-set forest.
 */
export function firstWins<C extends Claim>(claims: readonly C[]): { awards: Award<C>[]; losers: number } {
  const edges = distinct(claims);
  const owner = new Array<C | undefined>(edges.length);
  const nextFree = Int32Array.from(edges, (_, i) => i);
  let losers = 0;
  for (const claim of claims) {
    const first = indexOf(edges, claim.start);
    const last = indexOf(edges, claim.end);
    let taken = 0;
    for (let piece = find(nextFree, first); piece < last; piece = find(nextFree, piece)) {
      owner[piece] = claim;
      nextFree[piece] = piece + 1;
      taken++;
    }
    if (taken < last - first) losers++;
  }
  return { awards: join(edges, owner), losers };
}

function distinct(claims: readonly Claim[]): Float64Array {
  const edges = new Float64Array(claims.length * 2);
  claims.forEach((claim, i) => {
    edges[i * 2] = claim.start;
    edges[i * 2 + 1] = claim.end;
  });
  edges.sort();
  return edges.filter((edge, i) => i === 0 || edge !== edges[i - 1]);
}

function join<C extends Claim>(edges: Float64Array, owner: readonly (C | undefined)[]): Award<C>[] {
  const awards: { start: number; end: number; claim: C }[] = [];
  for (let piece = 0; piece + 1 < edges.length; piece++) {
    const claim = owner[piece];
    if (claim === undefined) continue;
    const start = edges[piece] ?? 0;
    const end = edges[piece + 1] ?? 0;
    const previous = awards.at(-1);
    if (previous?.claim === claim && previous.end === start) previous.end = end;
    else awards.push({ start, end, claim });
  }
  return awards;
}

/** The first free piece from `piece` on. Halves the path as it goes, so that later searches are short. */
function find(nextFree: Int32Array, piece: number): number {
  for (;;) {
    const next = nextFree[piece] ?? piece;
    if (next === piece) return piece;
    const further = nextFree[next] ?? next;
    nextFree[piece] = further;
    piece = further;
  }
}

function indexOf(edges: Float64Array, edge: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((edges[middle] ?? 0) < edge) low = middle + 1;
    else high = middle;
  }
  return low;
}
