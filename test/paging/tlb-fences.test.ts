import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  createRoot,
  EPT_4LEVEL,
  FrameRange,
  GuestTables,
  map,
  type PageTranslator,
  Tlb,
  type TlbFence,
  type TlbSwitch,
  Translator,
  TwoStageTranslator,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

const format = X86_4LEVEL;

/** Where each address space has its pages: two small ones, a global one, and a large one of 2 MiB. */
const PAGES = { p: 0x1000n, q: 0x2000n, g: 0x3000n, l: 0x40_0000n } as const;
/** Some address in the large page, far from where it is looked at. */
const IN_LARGE = 0x5f_e123n;

/** The address spaces of the scene: two processes of the host, two of a guest, and the guest's second stage. */
const SPACES = {
  a: { asid: 1, vmid: 0, stage: 'first' },
  b: { asid: 2, vmid: 0, stage: 'first' },
  c: { asid: 1, vmid: 7, stage: 'first' },
  d: { asid: 2, vmid: 7, stage: 'first' },
  s: { asid: 0, vmid: 7, stage: 'second' },
  t: { asid: 0, vmid: 8, stage: 'second' },
} as const satisfies Record<string, Omit<TlbSwitch, 'translator'>>;

const EVERYTHING = Object.keys(SPACES).flatMap((space) =>
  Object.keys(PAGES).map((page) => `${space}.${page}`),
);

interface Scene {
  readonly tlb: Tlb;
  /** Makes every entry of every table lead elsewhere. No fence. */
  change(): void;
  /** Which pages are still seen as they were: `a.p` is page p in space a. */
  stale(): string[];
}

/** Extended page tables of 4 KiB pages, which put everything where it says: for all that the scene maps. */
function smallPages(): Translator {
  const tables = new GuestTables(GuestMemory.allocate(0x2_0000), { frames: new FrameRange(0, 0x2_0000) });
  createRoot(tables, EPT_4LEVEL);
  const ranges = Object.keys(SPACES).map((_, i) => [0x1000_0000 * (i + 1), 0x40_0000] as const);
  for (const [gpa, length] of [[0, 0x10_0000] as const, ...ranges])
    map(tables, { format: EPT_4LEVEL, gva: BigInt(gpa), gpa, length, write: true, maxPageSize: 0x1000 });
  return new Translator({ tables, format: EPT_4LEVEL });
}

const second = smallPages();

/** @param staged - the address spaces of the first stage have a second one below them, with smaller pages */
function scene(staged: boolean): Scene {
  const memory = GuestMemory.allocate(0x20_0000);
  const spaces = Object.entries(SPACES).map(([name, tags], i) => {
    const base = 0x2_0000 * (i + 1);
    const tables = new GuestTables(memory, { frames: new FrameRange(base, 0x2_0000) });
    createRoot(tables, format);
    const global = tags.stage === 'first';
    const at = (gva: bigint, gpa: number, length: number, isGlobal: boolean): void => {
      map(tables, { format, gva, gpa, length, global: isGlobal });
    };
    at(PAGES.p, 0x1000_0000 * (i + 1), 0x1000, false);
    at(PAGES.q, 0x1000_0000 * (i + 1) + 0x1000, 0x1000, false);
    at(PAGES.g, 0x4000, 0x1000, global);
    at(PAGES.l, 0x1000_0000 * (i + 1) + 0x20_0000, 0x20_0000, false);
    const translator: PageTranslator =
      staged && tags.stage === 'first'
        ? new TwoStageTranslator({ memory, format, root: tables.rootTable(), second })
        : new Translator({ tables, format });
    return { name, base, to: { translator, ...tags } };
  });
  const [first] = spaces;
  assert(first !== undefined);
  const tlb = new Tlb(first.to.translator);
  const look = (): Map<string, string> => {
    const seen = new Map<string, string>();
    for (const { name, to } of spaces) {
      tlb.switchTo(to);
      for (const [page, gva] of Object.entries(PAGES)) {
        // Three fragments of the large page, of which a fence names none.
        const offsets = page === 'l' ? [0n, 0x5000n, 0x10_0000n] : [0n];
        const answers = offsets.map((offset) => tlb.resolveGva(gva + offset, ACCESS.read));
        seen.set(`${name}.${page}`, answers.join());
      }
    }
    return seen;
  };
  const before = look();
  return {
    tlb,
    change() {
      for (const { base } of spaces) memory.fillAt(base, 0, 0x2_0000);
    },
    stale() {
      const now = look();
      return [...before].filter(([key, answer]) => now.get(key) === answer).map(([key]) => key);
    },
  };
}

/** Every page of these spaces, or of these pages of all; `a` or `a.p` or `*.g`. */
function some(...patterns: readonly string[]): string[] {
  return EVERYTHING.filter((key) =>
    patterns.some((pattern) => {
      const [space = '', page] = pattern.split('.');
      const [keySpace, keyPage] = key.split('.');
      return (space === '*' || space === keySpace) && (page === undefined || page === keyPage);
    }),
  );
}

interface Instruction {
  readonly name: string;
  readonly calls: readonly TlbFence[];
  /** What the instruction has to forget; all the rest is to stay. */
  readonly forgets: readonly string[];
}

/** docs/guides/tlb.md, row by row. */
const INSTRUCTIONS: readonly Instruction[] = [
  // Intel SDM 3A, 5.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches"
  {
    name: 'INVLPG: one address of the current PCID, and globals',
    calls: [{ address: 0x1fffn, asid: 1, vmid: 0, stage: 'first' }],
    forgets: some('a.p'),
  },
  {
    name: 'INVLPG of a global page: in every PCID',
    calls: [{ address: 0x3000n, asid: 1, vmid: 0, stage: 'first' }],
    forgets: some('a.g', 'b.g'),
  },
  {
    name: 'INVLPG of an address in a large page: all of its fragments',
    calls: [{ address: IN_LARGE, asid: 1, vmid: 0, stage: 'first' }],
    forgets: some('a.l'),
  },
  {
    name: 'INVPCID type 0: one address of one PCID',
    calls: [{ address: 0x2000n, asid: 2, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('b.q'),
  },
  {
    name: 'INVPCID type 0 keeps globals',
    calls: [{ address: 0x3000n, asid: 1, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: [],
  },
  {
    name: 'INVPCID type 1: one PCID, but globals',
    calls: [{ asid: 2, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('b.p', 'b.q', 'b.l'),
  },
  {
    name: 'INVPCID type 2: all PCIDs, with globals; CR4.PGE, CR4.PCIDE or CR0.PG cleared',
    calls: [{ vmid: 0, stage: 'first' }],
    forgets: some('a', 'b'),
  },
  {
    name: 'INVPCID type 3: all PCIDs, but globals',
    calls: [{ vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('a.p', 'a.q', 'a.l', 'b.p', 'b.q', 'b.l'),
  },
  {
    name: 'MOV to CR3, bit 63 clear: the new PCID, but globals',
    calls: [{ asid: 2, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('b.p', 'b.q', 'b.l'),
  },
  { name: 'MOV to CR3, bit 63 set: nothing', calls: [], forgets: [] },
  {
    name: 'MOV to CR4 that sets SMEP or changes PAE: the current PCID, with globals',
    calls: [{ asid: 1, vmid: 0, stage: 'first' }],
    forgets: some('a', 'b.g'),
  },
  {
    name: 'INVVPID type 0: one address of one VPID',
    calls: [{ address: 0x1000n, vmid: 7, stage: 'first' }],
    forgets: some('c.p', 'd.p'),
  },
  {
    name: 'INVVPID type 1: one VPID',
    calls: [{ vmid: 7, stage: 'first' }],
    forgets: some('c', 'd'),
  },
  {
    name: 'INVVPID type 2: all VPIDs but 0, one by one',
    calls: [
      { vmid: 7, stage: 'first' },
      { vmid: 8, stage: 'first' },
    ],
    forgets: some('c', 'd'),
  },
  {
    name: 'INVVPID type 3: one VPID, but globals',
    calls: [{ vmid: 7, stage: 'first', keepGlobal: true }],
    forgets: some('c.p', 'c.q', 'c.l', 'd.p', 'd.q', 'd.l'),
  },
  {
    name: 'INVEPT type 1: what came through one EPT pointer',
    calls: [{ vmid: 7 }],
    forgets: some('c', 'd', 's'),
  },
  {
    name: 'INVEPT type 2: what came through any EPT pointer',
    calls: [{ vmid: 7 }, { vmid: 8 }],
    forgets: some('c', 'd', 's', 't'),
  },

  // Arm ARM (DDI 0487), D8.17 "TLB maintenance"
  {
    name: 'TLBI VAE1: one address of one ASID, or global',
    calls: [{ address: 0x1000n, asid: 1, vmid: 7, stage: 'first' }],
    forgets: some('c.p'),
  },
  {
    name: 'TLBI VAE1 of a global page: in every ASID of this VMID',
    calls: [{ address: 0x3000n, asid: 1, vmid: 7, stage: 'first' }],
    forgets: some('c.g', 'd.g'),
  },
  {
    name: 'TLBI VAAE1: one address of all ASIDs',
    calls: [{ address: 0x2000n, vmid: 7, stage: 'first' }],
    forgets: some('c.q', 'd.q'),
  },
  {
    name: 'TLBI VAAE1 in a block: all of its fragments',
    calls: [{ address: IN_LARGE, vmid: 7, stage: 'first' }],
    forgets: some('c.l', 'd.l'),
  },
  {
    name: 'TLBI ASIDE1: one ASID, but globals',
    calls: [{ asid: 1, vmid: 7, stage: 'first', keepGlobal: true }],
    forgets: some('c.p', 'c.q', 'c.l'),
  },
  {
    name: 'TLBI VMALLE1: the first stage of this VMID',
    calls: [{ vmid: 7, stage: 'first' }],
    forgets: some('c', 'd'),
  },
  {
    name: 'TLBI IPAS2E1: one address of the second stage alone',
    calls: [{ address: 0x1000n, vmid: 7, stage: 'second' }],
    forgets: some('s.p'),
  },
  {
    name: 'TLBI VMALLS12E1: both stages of this VMID',
    calls: [{ vmid: 7 }],
    forgets: some('c', 'd', 's'),
  },
  {
    name: 'TLBI ALLE1: all but the host',
    calls: [{ vmid: 7 }, { vmid: 8 }],
    forgets: some('c', 'd', 's', 't'),
  },
  {
    name: 'TLBI VAE2: one address of the host',
    calls: [{ address: 0x1000n, asid: 1, vmid: 0, stage: 'first' }],
    forgets: some('a.p'),
  },
  { name: 'TLBI ALLE2: the host', calls: [{ vmid: 0 }], forgets: some('a', 'b') },

  // RISC-V privileged specification, "Supervisor Memory-Management Fence Instruction" and "Hypervisor ... Fence"
  {
    name: 'SFENCE.VMA x0, x0: everything of the host',
    calls: [{ vmid: 0, stage: 'first' }],
    forgets: some('a', 'b'),
  },
  {
    name: 'SFENCE.VMA rs1, x0: one address of every ASID, and globals',
    calls: [{ address: 0x3000n, vmid: 0, stage: 'first' }],
    forgets: some('a.g', 'b.g'),
  },
  {
    name: 'SFENCE.VMA x0, rs2: one ASID, but globals',
    calls: [{ asid: 2, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('b.p', 'b.q', 'b.l'),
  },
  {
    name: 'SFENCE.VMA rs1, rs2: one address of one ASID, but globals',
    calls: [{ address: 0x1000n, asid: 1, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('a.p'),
  },
  {
    name: 'SFENCE.VMA rs1, rs2 of one 4 KiB in a superpage: all of its fragments (NEMU #1175)',
    calls: [{ address: IN_LARGE, asid: 1, vmid: 0, stage: 'first', keepGlobal: true }],
    forgets: some('a.l'),
  },
  {
    name: 'HFENCE.VVMA x0, x0: the first stage of the current VMID',
    calls: [{ vmid: 7, stage: 'first' }],
    forgets: some('c', 'd'),
  },
  {
    name: 'HFENCE.VVMA rs1, rs2: one address of one ASID of the current VMID, but globals',
    calls: [{ address: 0x2000n, asid: 2, vmid: 7, stage: 'first', keepGlobal: true }],
    forgets: some('d.q'),
  },
  {
    name: 'HFENCE.GVMA rs1, rs2: one guest-physical address of one VMID, and what may have come through it',
    calls: [
      { address: 0x1000n, vmid: 7, stage: 'second' },
      { vmid: 7, stage: 'first' },
    ],
    forgets: some('s.p', 'c', 'd'),
  },
  {
    name: 'HFENCE.GVMA x0, rs2: one VMID',
    calls: [{ vmid: 7 }],
    forgets: some('c', 'd', 's'),
  },
  {
    name: 'HFENCE.GVMA x0, x0: every VMID, one by one',
    calls: [{ vmid: 7 }, { vmid: 8 }],
    forgets: some('c', 'd', 's', 't'),
  },
  { name: 'reset', calls: [{}], forgets: EVERYTHING },
];

for (const staged of [false, true]) {
  describe(`T8: after a change of the tables, before and after each fence${staged ? ', with small pages of a second stage below' : ''}`, () => {
    it('T8: without a fence, what was used before is seen in every space', () => {
      const { change, stale } = scene(staged);
      change();
      assert.deepEqual(stale(), EVERYTHING);
    });

    for (const { name, calls, forgets } of INSTRUCTIONS) {
      it(`T8: ${name}`, () => {
        const { tlb, change, stale } = scene(staged);
        change();
        for (const fence of calls) tlb.invalidate(fence);
        const left = new Set(stale());
        const gone = EVERYTHING.filter((key) => !left.has(key));
        assert.deepEqual(gone, [...forgets], 'gone are exactly these');
      });
    }

    it('T8: the first fence was not too early: an entry that is walked again after it is seen as it is then', () => {
      const { tlb, change, stale } = scene(staged);
      tlb.invalidate({ vmid: 0 });
      change();
      tlb.invalidate({ vmid: 7 });
      assert.deepEqual(stale(), some('t'));
    });
  });
}
