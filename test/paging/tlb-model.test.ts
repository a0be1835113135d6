import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  ACCESS,
  type PageTranslator,
  Tlb,
  type TlbFence,
  type TlbStage,
  type WalkedPage,
  WalkFault,
} from '../../src/paging/index.ts';
import { halves, type NaiveEntry, NaiveTlb } from './support/naive-tlb.ts';

/** One leaf of an address space's "tables". */
interface Leaf {
  readonly first: bigint;
  readonly sizeBits: number;
  readonly gpa: number;
  readonly accesses: number;
  readonly global: boolean;
}

/** An address space as a list of leaves, which change under the TLB without a word. */
class ListTranslator implements PageTranslator {
  readonly fault: WalkFault = new WalkFault();
  readonly rules: string;
  leaves: readonly Leaf[] = [];
  walks = 0;

  constructor(rules: string) {
    this.rules = rules;
  }

  resolvePage(lo: number, hi: number, access: number, page: WalkedPage): number {
    this.walks++;
    const gva = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
    const leaf = this.leaves.find(
      ({ first, sizeBits }) => gva >> BigInt(sizeBits) === first >> BigInt(sizeBits),
    );
    if (leaf === undefined || ((leaf.accesses >>> access) & 1) === 0) return -1;
    page.sizeBits = leaf.sizeBits;
    page.accesses = leaf.accesses;
    page.global = leaf.global;
    return leaf.gpa + Number(gva - leaf.first);
  }

  resolve(lo: number, hi: number, access: number): number {
    return this.resolvePage(lo, hi, access, { sizeBits: 0, accesses: 0, global: false });
  }

  resolveGva(gva: bigint, access: number): number {
    const { lo, hi } = halves(gva);
    return this.resolve(lo, hi, access);
  }
}

interface Space {
  readonly translator: ListTranslator;
  readonly asid: number;
  readonly vmid: number;
  readonly stage: TlbStage;
}

/** Eight address spaces, of which two differ in their rules alone. */
function makeSpaces(): readonly Space[] {
  const space = (asid: number, vmid: number, stage: TlbStage, rules = 'x'): Space => ({
    translator: new ListTranslator(rules),
    asid,
    vmid,
    stage,
  });
  return [
    space(0, 0, 'first'),
    space(1, 0, 'first'),
    space(1, 0, 'first', 'y'),
    space(2, 0, 'first'),
    space(0, 1, 'first'),
    space(1, 1, 'first'),
    space(0, 0, 'second'),
    space(0, 1, 'second'),
  ];
}

/** In a TLB of 2048 slots, none of them has a slot in common with another. */
const BASES = [0n, 0x20_0000n, 0x1_0010_0000n, 0xffff_8000_0030_0000n];

const leaf: fc.Arbitrary<Leaf> = fc
  .record({
    base: fc.constantFrom(...BASES),
    page: fc.nat(3),
    sizeBits: fc.constantFrom(12, 12, 12, 13, 14, 21),
    gpa: fc.nat(0xff),
    accesses: fc.constantFrom(0b11, 0b01, 0b01_0011),
    global: fc.boolean(),
  })
  .map(({ base, page, sizeBits, gpa, accesses, global }) => ({
    first: ((base + BigInt(page * 4096)) >> BigInt(sizeBits)) << BigInt(sizeBits),
    sizeBits,
    gpa: gpa * 0x20_0000 + 0x1_0000_0000,
    accesses,
    global,
  }));

const address = fc
  .record({ base: fc.constantFrom(...BASES), page: fc.nat(5), offset: fc.nat(0xfff) })
  .map(({ base, page, offset }) => base + BigInt(page * 4096 + offset));

const fence: fc.Arbitrary<TlbFence> = fc.record(
  {
    address,
    asid: fc.nat(3),
    vmid: fc.nat(2),
    keepGlobal: fc.boolean(),
    stage: fc.constantFrom<TlbStage>('first', 'second'),
  },
  { requiredKeys: [] },
);

type Step =
  | { readonly what: 'switch'; readonly space: number }
  | { readonly what: 'change'; readonly space: number; readonly leaves: readonly Leaf[] }
  | { readonly what: 'look'; readonly gva: bigint; readonly access: number }
  | { readonly what: 'fence'; readonly fence: TlbFence };

const look = fc.record({
  what: fc.constant('look' as const),
  gva: address,
  access: fc.constantFrom(ACCESS.read, ACCESS.write, ACCESS.userRead),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: look },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('switch' as const), space: fc.nat(7) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('change' as const),
      space: fc.nat(7),
      leaves: fc.array(leaf, { maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('fence' as const), fence }) },
);

/**
 * Runs the steps on both. A TLB may forget at any time, so that the answer is what is cached or what a walk says; a
 * `roomy` one, whose slots are never fought for, has to answer what is cached where something is.
 */
function run(tlb: Tlb, spaces: readonly Space[], steps: readonly Step[], roomy: boolean): void {
  const naive = new NaiveTlb();
  let space = spaces[0] as Space;
  tlb.switchTo(space);
  for (const next of steps) {
    switch (next.what) {
      case 'switch':
        space = spaces[next.space] as Space;
        tlb.switchTo(space);
        break;
      case 'change':
        (spaces[next.space] as Space).translator.leaves = next.leaves;
        break;
      case 'fence':
        tlb.invalidate(next.fence);
        naive.invalidate(next.fence);
        break;
      case 'look': {
        const { gva, access } = next;
        const cached = naive.find(space, gva, access).map((entry) => entry.gpa + Number(gva & 0xfffn));
        const walked = space.translator.resolveGva(gva, access);
        const allowed = roomy && cached.length > 0 ? cached : [...cached, walked];
        const { walks } = space.translator;
        const answer = tlb.resolveGva(gva, access);
        const missed = space.translator.walks > walks;
        assert(allowed.includes(answer), `${gva.toString(16)}: ${answer}, of ${allowed.join()}`);
        if (missed && answer >= 0) naive.add(entryOf(space, gva, access, walked));
        break;
      }
    }
  }
}

function entryOf(space: Space, gva: bigint, access: number, gpa: number): NaiveEntry {
  const page: WalkedPage = { sizeBits: 0, accesses: 0, global: false };
  const { lo, hi } = halves(gva);
  space.translator.resolvePage(lo, hi, access, page);
  const { asid, vmid, stage } = space;
  const rules = space.translator.rules;
  return { asid, vmid, stage, rules, page: gva >> 12n, gpa: gpa - Number(gva & 0xfffn), ...page };
}

describe('T8: a TLB answers as a list of what was walked', () => {
  const steps = fc.array(step, { minLength: 10, maxLength: 80, size: 'max' });

  it('T8: with room for all: whatever is cached is answered, until a fence forgets it, and then never', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const spaces = makeSpaces();
        run(new Tlb((spaces[0] as Space).translator, { entries: 2048, spaces: 8 }), spaces, sequence, true);
      }),
      { numRuns: 400 },
    );
  });

  it('T8: with hardly any room: never anything but what is cached or walked', () => {
    for (const [entries, room] of [
      [1, 1],
      [2, 3],
      [4, 8],
      [8, 2],
    ] as const) {
      fc.assert(
        fc.property(steps, (sequence) => {
          const spaces = makeSpaces();
          run(new Tlb((spaces[0] as Space).translator, { entries, spaces: room }), spaces, sequence, false);
        }),
        { numRuns: 150 },
      );
    }
  });
});
