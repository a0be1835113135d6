import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  bytes,
  type GuestMemory,
  heap,
  isGuestMemoryError,
  type LockedPages,
  lazy,
  GuestMemory as Memory,
  type MemoryBacking,
  type MemoryView,
  ProtectedView,
  type Rights,
  shared,
  trackDirty,
} from '../../src/core/index.ts';

const PAGE = 0x1000;
const PAGES = 6;
/** Two regions that touch, after a hole of one page. */
const START = PAGE;
const BORDER = 3 * PAGE;
const END = PAGES * PAGE;
const RIGHTS: readonly Rights[] = ['', 'r', 'w', 'rw', 'rwx'];

/** What has to be true, kept in sets of page numbers. */
class Model {
  readonly bytes = new Uint8Array(END);
  readonly rights = new Map<number, string>();
  readonly dirty = new Set<number>();
  /** Pages of the locks and views that are out. */
  readonly locks: { gpn: number; access: 'read' | 'write' }[] = [];
  readonly views: number[][] = [];

  constructor() {
    for (let gpn = 1; gpn < PAGES; gpn++) this.rights.set(gpn, 'rwx');
  }

  pages(gpa: number, length: number): number[] {
    const first = Math.floor(gpa / PAGE);
    return length === 0
      ? []
      : Array.from({ length: Math.floor((gpa + length - 1) / PAGE) - first + 1 }, (_, i) => first + i);
  }

  may(gpa: number, length: number, letter: string): string | undefined {
    for (const gpn of this.pages(gpa, length)) {
      const rights = this.rights.get(gpn);
      if (rights === undefined) return 'unmapped';
      if (!rights.includes(letter)) return 'denied';
    }
    return undefined;
  }

  drained(): number[] {
    const held = [
      ...this.views.flat(),
      ...this.locks.filter(({ access }) => access === 'write').map(({ gpn }) => gpn),
    ];
    const all = new Set([...this.dirty, ...held]);
    this.dirty.clear();
    return [...all].sort((a, b) => a - b);
  }
}

/** The code of a refusal, or `undefined` for success. */
function codeOf(fn: () => void): string | undefined {
  try {
    fn();
    return undefined;
  } catch (error) {
    if (!isGuestMemoryError(error)) throw error;
    return error.code;
  }
}

const gpa = fc.oneof(
  fc.nat({ max: END + 8 }),
  fc
    .tuple(fc.nat({ max: PAGES }), fc.integer({ min: -8, max: 8 }))
    .map(([page, delta]) => Math.max(0, page * PAGE + delta)),
);
const length = fc.oneof(fc.nat({ max: 16 }), fc.nat({ max: 3 * PAGE }));
const access = fc.constantFrom('read' as const, 'write' as const);
const gpn = fc.nat({ max: PAGES });
const step = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), gpa, length, value: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('fill' as const), gpa, length, value: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('scalar' as const), gpa, value: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('read' as const), gpa, length }),
  fc.record({
    kind: fc.constant('protect' as const),
    gpn,
    pages: fc.integer({ min: 1, max: 3 }),
    rights: fc.constantFrom(...RIGHTS),
  }),
  fc.record({ kind: fc.constant('lock' as const), gpns: fc.array(gpn, { maxLength: 3 }), access }),
  fc.record({ kind: fc.constant('unlock' as const), which: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constant('view' as const), gpa, length: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant('release' as const), which: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constant('remove' as const) }),
  fc.record({ kind: fc.constant('drain' as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs the steps on both, comparing every answer. */
function compareRuns(first: MemoryBacking, second: MemoryBacking, steps: readonly Step[]): void {
  const model = new Model();
  const tracking = trackDirty(
    Memory.fromRegions([
      { start: START, backing: first },
      { start: BORDER, backing: second },
    ]),
  );
  const view = new ProtectedView(tracking.memory);
  const memory: GuestMemory = view.memory();
  const locks: { lock: LockedPages; entries: Model['locks'] }[] = [];
  const views: { view: MemoryView; pages: number[] }[] = [];

  function write(at: number, count: number, value: number, run: () => void): void {
    const wanted = at + count > END && count > 0 && at >= END ? 'unmapped' : model.may(at, count, 'w');
    assert.equal(codeOf(run), wanted);
    if (wanted !== undefined) return;
    model.bytes.fill(value, at, at + count);
    for (const page of model.pages(at, count)) model.dirty.add(page);
  }

  for (const s of steps) {
    if (s.kind === 'write')
      write(s.gpa, s.length, s.value, () => memory.writeAt(s.gpa, new Uint8Array(s.length).fill(s.value)));
    else if (s.kind === 'fill')
      write(s.gpa, s.length, s.value, () => memory.fillAt(s.gpa, s.value, s.length));
    else if (s.kind === 'scalar')
      write(s.gpa, 4, s.value, () => memory.writeU32(s.gpa, s.value * 0x0101_0101));
    else if (s.kind === 'read') {
      const dest = new Uint8Array(s.length);
      const wanted = model.may(s.gpa, s.length, 'r');
      assert.equal(
        codeOf(() => memory.readAt(s.gpa, dest)),
        wanted,
      );
      if (wanted === undefined) assert.deepEqual(dest, model.bytes.slice(s.gpa, s.gpa + s.length));
    } else if (s.kind === 'protect') {
      const touched = model.pages(s.gpn * PAGE, s.pages * PAGE).filter((page) => model.rights.has(page));
      const locked = model.locks.some(
        (lock) => touched.includes(lock.gpn) && !s.rights.includes(lock.access === 'write' ? 'w' : 'r'),
      );
      const code = codeOf(() => view.protect(s.gpn * PAGE, s.pages * PAGE, s.rights));
      assert.equal(code, locked ? 'locked' : undefined);
      if (!locked) for (const page of touched) model.rights.set(page, s.rights);
    } else if (s.kind === 'lock') {
      const wanted = s.gpns
        .map((page) => model.may(page * PAGE, PAGE, s.access === 'write' ? 'w' : 'r'))
        .find((code) => code);
      const code = codeOf(() => {
        const entries = s.gpns.map((page) => ({ gpn: page, access: s.access }));
        locks.push({ lock: memory.lockGpns(s.gpns, { access: s.access }), entries });
        model.locks.push(...entries);
      });
      assert.equal(code, wanted);
    } else if (s.kind === 'unlock') {
      const [gone] = locks.splice(s.which, 1);
      gone?.lock.release();
      gone?.lock.release();
      for (const entry of gone?.entries ?? []) {
        model.locks.splice(model.locks.indexOf(entry), 1);
        if (entry.access === 'write') model.dirty.add(entry.gpn);
      }
    } else if (s.kind === 'view') {
      const crosses = s.gpa < BORDER && s.gpa + s.length > BORDER;
      const wanted = model.may(s.gpa, s.length, 'w') ?? (crosses ? 'unsupported' : undefined);
      const code = codeOf(() => {
        const pages = model.pages(s.gpa, s.length);
        views.push({ view: memory.view(s.gpa, s.length, 'write'), pages });
        model.views.push(pages);
      });
      assert.equal(code, wanted);
    } else if (s.kind === 'release') {
      const [gone] = views.splice(s.which, 1);
      gone?.view.release();
      if (gone === undefined) continue;
      model.views.splice(model.views.indexOf(gone.pages), 1);
      for (const page of gone.pages) model.dirty.add(page);
    } else if (s.kind === 'remove') {
      for (const [start, end] of [
        [START, BORDER],
        [BORDER, END],
      ] as const) {
        const locked = model.locks.some(({ gpn: page }) => page * PAGE >= start && page * PAGE < end);
        const code = codeOf(() => void memory.removeRegion(start, end - start));
        assert.equal(code, locked ? 'locked' : undefined);
      }
    } else {
      const pages = tracking.drain().flatMap((range) => model.pages(range.gpa, range.length));
      assert.deepEqual(pages, model.drained());
    }
    for (let page = 0; page < PAGES; page++)
      assert.equal(view.rightsAt(page * PAGE), model.rights.get(page) ?? '');
  }
  for (const { lock } of locks) lock.release();
  for (const { view: lent } of views) lent.release();
  view.protect(START, END - START, '');
}

describe('M9 M11 M12: rights, locks and dirty pages together', () => {
  const pairs: readonly (readonly [string, () => MemoryBacking, () => MemoryBacking])[] = [
    ['heap and shared', () => heap(BORDER - START), () => shared(END - BORDER)],
    [
      'lazy and bytes',
      () => lazy(BORDER - START),
      () => bytes(new Uint8Array(new SharedArrayBuffer(END - BORDER))),
    ],
  ];
  for (const [name, first, second] of pairs) {
    it(`M9 M11 M12: as sets of page numbers have it (${name})`, () => {
      fc.assert(
        fc.property(fc.array(step, { size: 'max', maxLength: 60 }), (steps) =>
          compareRuns(first(), second(), steps),
        ),
        { numRuns: 150 },
      );
    });
  }
});
