import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import { type PagingControls, Translator, type WalkStep, X86_4LEVEL } from '../../src/paging/index.ts';

// Four tables of x86 from BASE on, above 4 GiB, so that both halves of every address count. The address looked for has a
// different index in each: 1, 2, 3 and 4.

const BASE = 0x3_0000_0000;
const GVA = (1n << 39n) | (2n << 30n) | (3n << 21n) | (4n << 12n) | 0x567n;
const PAGE = 0x5_0000_7000n;
const P = 1n;
const W = 2n;
const U = 4n;
const PWU = P | W | U;
const NX = 1n << 63n;

const STEPS: readonly WalkStep[] = [
  { level: 4, name: 'PML4E', entryAddress: BASE + 8, entry: 0x3_0000_1000n | PWU },
  { level: 3, name: 'PDPTE', entryAddress: BASE + 0x1010, entry: 0x3_0000_2000n | PWU },
  { level: 2, name: 'PDE', entryAddress: BASE + 0x2018, entry: 0x3_0000_3000n | PWU },
  { level: 1, name: 'PTE', entryAddress: BASE + 0x3020, entry: PAGE | P | NX },
];

interface Machine {
  readonly translator: Translator;
  /** Changes the entry of a step; the steps as they are then, as far as to that one. */
  change(index: number, entry: bigint): readonly WalkStep[];
}

function machine(controls: PagingControls = {}): Machine {
  const memory = GuestMemory.fromRanges([[BASE, 0x4000]]);
  for (const { entryAddress, entry } of STEPS) memory.writeU64(entryAddress, entry);
  return {
    translator: new Translator({ memory, format: X86_4LEVEL, root: BASE, controls }),
    change(index, entry) {
      const steps = STEPS.slice(0, index + 1).map((step, i) => (i === index ? { ...step, entry } : step));
      for (const { entryAddress, entry: written } of steps) memory.writeU64(entryAddress, written);
      return steps;
    },
  };
}

/** What the tables allow by the last of {@link STEPS}. */
const READ_ONLY = { read: true, write: false, execute: false, user: false, supervisorExecute: false };

describe('the story of a walk', () => {
  it('T2: of a page: every entry that was read, root first, and what the leaf says', () => {
    assert.deepEqual(machine().translator.translate(GVA), {
      kind: 'mapped',
      gva: GVA,
      gpa: 0x5_0000_7567,
      pageSize: 0x1000,
      rights: READ_ONLY,
      memoryType: 0,
      global: false,
      protectionKey: undefined,
      software: 0,
      shadowStack: false,
      levels: STEPS,
    });
    // PCD, G, software bits 11:9, key 9 in bits 62:59; the key only where keys are in force.
    const { translator, change } = machine({ pku: true });
    const levels = change(3, PAGE | P | 0x10n | 0x100n | (5n << 9n) | (9n << 59n));
    const found = translator.translate(GVA);
    assert(found.kind === 'mapped');
    const { memoryType, global, software, protectionKey } = found;
    assert.deepEqual([memoryType, global, software, protectionKey], [2, true, 5, 9]);
    assert.deepEqual(found.levels, levels);
  });

  it('T2: of a large page: no entry below its own', () => {
    const { translator, change } = machine();
    const levels = change(2, 0x5_0020_0000n | PWU | 0x80n);
    const found = translator.translate(GVA);
    assert(found.kind === 'mapped');
    assert.deepEqual([found.gpa, found.pageSize], [0x5_0020_4567, 0x20_0000]);
    assert.deepEqual(found.levels, levels);
  });

  it('T2: of an entry that is not present: it is the last, and of rights nothing is known', () => {
    for (const [index, { level, entryAddress }] of STEPS.entries()) {
      const { translator, change } = machine();
      const levels = change(index, W);
      assert.deepEqual(translator.translate(GVA, { kind: 'write' }), {
        kind: 'page-fault',
        gva: GVA,
        errorCode: 2,
        reason: 'not-present',
        level,
        entryAddress,
        rights: undefined,
        levels,
      });
    }
  });

  it('T2: of an access that is not allowed: the rights are told, and the leaf is the last entry', () => {
    const fault = machine().translator.translate(GVA, { kind: 'write', user: true });
    assert.deepEqual(fault, {
      kind: 'page-fault',
      gva: GVA,
      errorCode: 7,
      reason: 'rights',
      level: 1,
      entryAddress: BASE + 0x3020,
      rights: READ_ONLY,
      levels: STEPS,
    });
  });

  it('T2: of a table that is not there: its place, and the entries before', () => {
    for (const [index, { level }] of STEPS.entries()) {
      if (index === 0) continue;
      const { translator, change } = machine();
      const levels = change(index - 1, 0x7_0000_0000n | PWU);
      const address = 0x7_0000_0000 + (index + 1) * 8;
      assert.deepEqual(translator.translate(GVA), {
        kind: 'table-unreadable',
        gva: GVA,
        level,
        address,
        levels,
      });
    }
    const memory = GuestMemory.allocate(0x1000);
    const rootless = new Translator({ memory, format: X86_4LEVEL, root: BASE });
    assert.deepEqual(rootless.translate(GVA), {
      kind: 'table-unreadable',
      gva: GVA,
      level: 4,
      address: BASE + 8,
      levels: [],
    });
  });

  it('T2: of an address that is none: nothing was read', () => {
    const gva = 1n << 47n;
    const { translator } = machine();
    assert.deepEqual(translator.translate(gva), { kind: 'not-canonical', gva, errorCode: 0, levels: [] });
  });
});
