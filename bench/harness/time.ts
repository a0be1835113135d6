import type { Timed } from './measurement.ts';

/** Best times of one process, in nanoseconds per operation. */
export interface Times {
  readonly ours: number;
  readonly raw: number | undefined;
  /** What the first call of ours returned. */
  readonly result: number;
}

const WARM_CALLS = 5_000;
const WARM_MS = 300;
const WARM_LIMIT_MS = 3_000;
const TURN_MS = 4;
const TURNS = 31;

/** Where the results of calls end up, so that no call is without effect. */
let sink = 0;

/**
 * Times ours and raw in turns and keeps the best turn of each. Noise of a shared machine only ever adds time, so the
 * least is the least wrong.
 */
export async function time(subject: Timed): Promise<Times> {
  const { ours, raw, operations } = subject;
  const result = checkSameWork(subject);
  const oursCalls = await warm(ours);
  const rawCalls = raw === undefined ? 0 : await warm(raw);
  let bestOurs = Number.POSITIVE_INFINITY;
  let bestRaw = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < TURNS; turn++) {
    bestOurs = Math.min(bestOurs, timeCalls(ours, oursCalls));
    if (raw !== undefined) bestRaw = Math.min(bestRaw, timeCalls(raw, rawCalls));
  }
  if (Number.isNaN(sink)) throw new Error('A benchmark closure returned something that is not a number');
  return { ours: bestOurs / operations, raw: raw === undefined ? undefined : bestRaw / operations, result };
}

function checkSameWork({ ours, raw }: Timed): number {
  const result = ours();
  if (raw === undefined) return result;
  const wanted = raw();
  if (!Object.is(result, wanted)) {
    throw new Error(`Ours and raw do different work: ours returned ${result}, raw ${wanted}`);
  }
  return result;
}

/**
 * Thousands of short calls: they make the engine compile the closure itself, where one long loop would only be
 * compiled by on-stack replacement and stay slow. Answers how many calls fill one turn.
 */
async function warm(closure: () => number): Promise<number> {
  const start = performance.now();
  let calls = 0;
  for (;;) {
    for (let i = 0; i < 50; i++) sink += closure();
    calls += 50;
    const elapsed = performance.now() - start;
    if ((calls >= WARM_CALLS && elapsed >= WARM_MS) || elapsed >= WARM_LIMIT_MS) break;
    // The optimising compiler works beside us; its code is taken over at a safe point.
    if (calls % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const perCall = timeCalls(closure, 50) / 1e6;
  return Math.max(1, Math.ceil(TURN_MS / perCall));
}

/** Nanoseconds per call. */
function timeCalls(closure: () => number, calls: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) sink += closure();
  return Number(process.hrtime.bigint() - start) / calls;
}
