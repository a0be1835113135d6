import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  accessCode,
  eptFormat,
  NPT_4LEVEL,
  NPT_5LEVEL,
  type PageAccess,
  type PagingFormat,
  type SecondStageFault,
  Tlb,
  type Translation,
  Translator,
  TwoStageTranslator,
  type WalkFault,
  X86_4LEVEL,
  X86_5LEVEL,
  X86_PAE,
} from '../../src/paging/index.ts';
import { EPT, type EptConfig } from '../support/oracles/ept.ts';
import { NPT, type NptConfig } from '../support/oracles/npt.ts';
import {
  type NestedResult,
  X86_GUEST,
  type X86Guest,
  type X86Host,
  x86NestedTranslate,
} from '../support/oracles/x86-nested.ts';
import { differences, lastWrites, oracleMemory } from './support/oracle-memory.ts';

/** The host's tables are in the first half, the guest's memory in the second. */
const SIZE = 0x2_0000;
const GUEST_BASE = 0x1_0000;

interface Machine {
  readonly memory: GuestMemory;
  readonly guest: X86Guest;
  readonly host: X86Host;
  readonly both: TwoStageTranslator;
}

interface Shape {
  readonly guestLevels: 4 | 5;
  readonly hostLevels: 4 | 5;
  readonly kind: 'ept' | 'npt';
  readonly ept?: Partial<EptConfig>;
  readonly npt?: Partial<NptConfig>;
  readonly guest?: Partial<X86Guest>;
}

function machine(shape: Shape): Machine {
  const { guestLevels, hostLevels, kind } = shape;
  const memory = GuestMemory.allocate(SIZE);
  const guest: X86Guest = { ...X86_GUEST, levels: guestLevels, cr3: 0n, ...shape.guest };
  const ept: EptConfig = { ...EPT, levels: hostLevels, root: 0x1000n, ...shape.ept };
  const npt: NptConfig = { ...NPT, levels: hostLevels, root: 0x1000n, ...shape.npt };
  const host: X86Host = kind === 'ept' ? { ept } : { npt };
  const second =
    kind === 'ept'
      ? new Translator({
          memory,
          format: eptFormat({ levels: hostLevels, modeBasedExecute: ept.mbec }),
          root: ept.root,
          controls: {
            maxPhyAddr: ept.maxPhyAddr,
            executeOnly: ept.executeOnly,
            accessedDirty: ept.accessedDirty ? 'update' : 'off',
          },
        })
      : new Translator({
          memory,
          format: hostLevels === 4 ? NPT_4LEVEL : NPT_5LEVEL,
          root: npt.root,
          controls: {
            maxPhyAddr: npt.maxPhyAddr,
            nxe: npt.nxe,
            gigabytePages: npt.pages1G,
            accessedDirty: npt.update ? 'update' : 'off',
          },
        });
  const format: PagingFormat = guestLevels === 4 ? X86_4LEVEL : X86_5LEVEL;
  const both = new TwoStageTranslator({
    memory,
    format,
    root: guest.cr3,
    second,
    controls: {
      maxPhyAddr: guest.maxPhyAddr,
      nxe: guest.nxe,
      wp: guest.wp,
      smep: guest.smep,
      smap: guest.smap,
      amd: guest.bit8Reserved,
      accessedDirty: guest.update ? 'update' : 'off',
    },
  });
  return { memory, guest, host, both };
}

/**
 * Straight tables: every table's first entry leads on. Host tables from 0x1000 put the guest's pages 0, 1, 2 ... at
 * {@link GUEST_BASE} and up; the guest's tables are its pages 0, 1, 2 ..., and its virtual page 0 is its page 8.
 */
function build({ memory, guest, host }: Machine): { guestEntries: number[]; hostEntries: number[] } {
  const hostLevels = 'ept' in host ? host.ept.levels : host.npt.levels;
  const flags = 'ept' in host ? 0x437n : 0x67n;
  const hostEntries: number[] = [];
  for (let i = 0; i < hostLevels - 1; i++) {
    const address = 0x1000 * (i + 1);
    memory.writeU64(address, BigInt(address + 0x1000) | (flags & ~0x70n));
    hostEntries.push(address);
  }
  for (let page = 0; page < 16; page++) {
    const address = 0x1000 * hostLevels + page * 8;
    memory.writeU64(address, BigInt(GUEST_BASE + page * 0x1000) | flags);
    hostEntries.push(address);
  }
  const guestEntries: number[] = [];
  for (let i = 0; i < guest.levels; i++) {
    const last = i === guest.levels - 1;
    const address = GUEST_BASE + i * 0x1000;
    memory.writeU64(address, BigInt(last ? 0x8000 : (i + 1) * 0x1000) | 0x67n);
    guestEntries.push(address);
  }
  return { guestEntries, hostEntries };
}

/** The library's answer in the oracle's words. */
function inOracleWords(found: Translation): unknown[] {
  switch (found.kind) {
    case 'mapped':
      return ['mapped', BigInt(found.gpa), BigInt(found.pageSize)];
    case 'page-fault':
      return ['guest', found.errorCode, found.level, BigInt(found.entryAddress)];
    case 'table-unreadable':
      return ['unreadable', found.level, BigInt(found.address)];
    case 'not-canonical':
      return ['not-canonical'];
    case 'second-stage-fault': {
      const { fault } = found;
      const during = found.during === 'table-walk' ? 'table' : 'final';
      if (fault.kind === 'table-unreadable')
        return ['host-unreadable', during, fault.level, BigInt(fault.address)];
      const entry = fault.kind === 'page-fault' ? BigInt(fault.entryAddress) : undefined;
      return ['host', during, fault.errorCode, entry, BigInt(found.gpa)];
    }
  }
}

function plain(expected: NestedResult): unknown[] {
  if (expected.kind === 'mapped') return ['mapped', expected.pa, expected.pageSize];
  if (expected.kind === 'not-canonical') return ['not-canonical'];
  if (expected.kind === 'unreadable') {
    if (expected.stage === 'guest') return ['unreadable', expected.level, expected.entryAddress];
    return ['host-unreadable', expected.during, expected.level, expected.entryAddress];
  }
  if (expected.stage === 'guest') return ['guest', expected.code, expected.level, expected.entryAddress];
  return ['host', expected.during, expected.code, expected.entryAddress, expected.gpa];
}

const ACCESSES: readonly PageAccess[] = (['read', 'write', 'execute'] as const).flatMap((kind) => [
  { kind, user: false },
  { kind, user: true },
]);

/** What the reused record says of a refusal by the second stage. */
function factsOf({ kind, secondStage, during, gpa, errorCode, level, entryAddress }: WalkFault): unknown[] {
  if (secondStage === 'not-canonical') return [kind, secondStage, during, gpa, errorCode];
  if (secondStage === 'table-unreadable') return [kind, secondStage, during, gpa, level, entryAddress];
  return [kind, secondStage, during, gpa, errorCode, level, entryAddress];
}

/** The same of the whole story. */
function factsOfStory({ during, gpa, fault }: SecondStageFault): unknown[] {
  const common = ['second-stage', fault.kind, during, gpa];
  if (fault.kind === 'not-canonical') return [...common, fault.errorCode];
  if (fault.kind === 'table-unreadable') return [...common, fault.level, fault.address];
  return [...common, fault.errorCode, fault.level, fault.entryAddress];
}

/** Compares answer, entries read and marks left for one access; memory is as before afterwards. */
function compare(
  { memory, guest, host, both }: Machine,
  gva: bigint,
  access: PageAccess,
  what: string,
): string {
  // Marking reads entries a second time, and changes memory; without it the number of reads is exact.
  const marking = guest.update || ('ept' in host ? host.ept.accessedDirty : host.npt.update);
  const before = marking ? memory.readBytes(0, SIZE) : undefined;
  const user = access.user === true;
  const expected = x86NestedTranslate(guest, host, oracleMemory(memory), gva, { kind: access.kind, user });
  const found = both.translate(gva, access);
  assert.deepEqual(inOracleWords(found), plain(expected), what);
  const unreadable = expected.kind === 'unreadable' ? 1 : 0;
  if (before === undefined)
    assert.equal(both.reads, expected.reads.length + unreadable, `${what}: entries read`);
  if (before !== undefined) {
    if (found.kind === 'mapped')
      assert.deepEqual(differences(before, memory), lastWrites(expected.writes), `${what}: marks`);
    memory.writeAt(0, before);
  }
  const lo = Number(gva & 0xffff_ffffn);
  const resolved = both.resolve(lo, Number(gva >> 32n), accessCode(access));
  assert.equal(resolved, found.kind === 'mapped' ? found.gpa : -1, what);
  if (found.kind === 'page-fault') assert.equal(both.fault.errorCode, found.errorCode, what);
  if (found.kind === 'second-stage-fault') {
    assert.deepEqual(factsOf(both.fault), factsOfStory(found), what);
  }
  if (before !== undefined) memory.writeAt(0, before);
  return String(inOracleWords(found)[0]);
}

const SHAPES: readonly (Shape & { readonly title: string })[] = [
  { title: '4 over EPT 4', guestLevels: 4, hostLevels: 4, kind: 'ept' },
  {
    title: '5 over EPT 5, 40 bits, SMEP and SMAP',
    guestLevels: 5,
    hostLevels: 5,
    kind: 'ept',
    ept: { maxPhyAddr: 40 },
    guest: { smep: true, smap: true },
  },
  {
    title: '4 over EPT 5, mode-based execute control',
    guestLevels: 4,
    hostLevels: 5,
    kind: 'ept',
    ept: { mbec: true },
  },
  {
    title: '4 over EPT 4, all marks',
    guestLevels: 4,
    hostLevels: 4,
    kind: 'ept',
    ept: { accessedDirty: true },
    guest: { update: true },
  },
  { title: '4 over NPT 4', guestLevels: 4, hostLevels: 4, kind: 'npt', guest: { bit8Reserved: true } },
  {
    title: '5 over NPT 4, no NX in the host',
    guestLevels: 5,
    hostLevels: 4,
    kind: 'npt',
    npt: { nxe: false, maxPhyAddr: 48 },
  },
  {
    title: '5 over NPT 5, all marks, WP off',
    guestLevels: 5,
    hostLevels: 5,
    kind: 'npt',
    npt: { update: true },
    guest: { update: true, wp: false },
  },
];

describe('two-dimensional walks', () => {
  for (const [guestLevels, hostLevels, reads] of [
    [4, 4, 24],
    [5, 5, 35],
    [4, 5, 29],
    [5, 4, 29],
  ] as const) {
    for (const kind of ['ept', 'npt'] as const) {
      it(`T5: ${guestLevels} levels over ${hostLevels} of ${kind} read exactly ${reads} entries`, () => {
        const made = machine({ guestLevels, hostLevels, kind });
        build(made);
        const found = made.both.translate(0x123n, { kind: 'read', user: true });
        assert(found.kind === 'mapped');
        assert.deepEqual([found.gpa, found.secondStage?.gva], [GUEST_BASE + 0x8123, 0x8123n]);
        assert.equal(made.both.reads, reads);
        assert.equal(
          made.both.resolve(0x123, 0, accessCode({ kind: 'read', user: true })),
          GUEST_BASE + 0x8123,
        );
        assert.equal(made.both.reads, reads, 'of the last translation alone');
      });
    }
  }

  for (const shape of SHAPES) {
    const marks = shape.guest?.update === true;
    it(`T5: ${shape.title}: every single-bit flip of every entry, by a naive walk of both stages`, () => {
      const made = machine(shape);
      const { guestEntries, hostEntries } = build(made);
      const { memory } = made;
      // The host's tables, and its leaves for the guest's root, last table and page.
      const upper = shape.hostLevels - 1;
      const walked = hostEntries.filter(
        (_, i) => i < upper || [0, shape.guestLevels - 1, 8].includes(i - upper),
      );
      const kinds = new Set<string>();
      for (const address of [...guestEntries, ...walked]) {
        const before = memory.readU64(address);
        for (let bit = 0; bit < 64; bit++) {
          // Where one entry is used twice in a walk, its marks depend on the order of marking, which is nobody's rule.
          if (marks && bit >= 12 && bit < 17) continue;
          memory.writeU64(address, before ^ (1n << BigInt(bit)));
          for (const access of ACCESSES) {
            const what = `bit ${bit} at 0x${address.toString(16)}, ${JSON.stringify(access)}`;
            kinds.add(compare(made, 0x123n, access, what));
          }
        }
        memory.writeU64(address, before);
      }
      for (const kind of ['mapped', 'guest', 'host']) assert(kinds.has(kind), kind);
    });

    if (marks) continue;
    it(`T5: ${shape.title}: random entries, by a naive walk of both stages`, () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(63), fc.bigInt(0n, 2n ** 64n - 1n), fc.boolean()), { maxLength: 12 }),
          fc.constantFrom(...ACCESSES),
          fc.constantFrom(0n, 0x1fffn, 0x20_0000n, 0xffff_ffff_ffff_ffffn, 1n << 60n),
          (changes, access, gva) => {
            const made = machine(shape);
            const { guestEntries, hostEntries } = build(made);
            const all = [...guestEntries, ...hostEntries];
            for (const [which, entry, tame] of changes) {
              const at = all[which % all.length] ?? 0;
              // Half of them point into the tables themselves, so that walks get somewhere.
              const target = BigInt.asUintN(2, entry >> 20n) * 0x1000n + (entry & 0x1ffn);
              made.memory.writeU64(at, tame ? target | 7n : entry);
            }
            compare(made, gva, access, 'random tables');
          },
        ),
        { numRuns: 150 },
      );
    });
  }

  it('T5: PAE over EPT: four-byte roots and eight-byte entries, translated in both stages', () => {
    const made = machine({ guestLevels: 4, hostLevels: 4, kind: 'ept' });
    build(made);
    const { memory, both } = made;
    memory.writeU64(GUEST_BASE, 0x1001n);
    memory.writeU64(GUEST_BASE + 0x1000, 0x2007n);
    memory.writeU64(GUEST_BASE + 0x2000, 0x8007n);
    const pae = new TwoStageTranslator({ memory, format: X86_PAE, root: 0, second: both.second });
    const found = pae.translate(0x456n);
    assert(found.kind === 'mapped');
    assert.equal(found.gpa, GUEST_BASE + 0x8456);
    assert.equal(pae.reads, 19);
  });

  it('T5: a second stage that is asked by itself afterwards answers for itself', () => {
    const made = machine({ guestLevels: 4, hostLevels: 4, kind: 'ept' });
    build(made);
    const { both } = made;
    for (const gva of [0x123n, 0x20_0000n]) {
      both.translate(gva);
      both.resolve(Number(gva), 0, 0);
      const alone = both.second.translate(0x40_0000n);
      assert(alone.kind === 'page-fault');
      assert.equal(alone.errorCode, 1, 'a read, with no linear address');
    }
  });

  it('T5 T8: a TLB in front of both stages keeps the smaller page, and what both stages allow', () => {
    const made = machine({ guestLevels: 4, hostLevels: 4, kind: 'ept' });
    const { hostEntries } = build(made);
    const { memory, both } = made;
    // The guest's page is of 2 MiB at its address 0; the host's are of 4 KiB, and the ninth is read-only.
    memory.writeU64(GUEST_BASE + 0x2000, 0xe7n);
    memory.writeU64(hostEntries[3 + 8] ?? 0, BigInt(GUEST_BASE + 0x8000) | 0x431n);
    const tlb = new Tlb(both);
    for (let round = 0; round < 2; round++) {
      assert.equal(tlb.resolve(0x1123, 0, ACCESS.userWrite), GUEST_BASE + 0x1123);
      assert.equal(tlb.resolve(0x8123, 0, ACCESS.userRead), GUEST_BASE + 0x8123);
      assert.equal(tlb.resolve(0x8123, 0, ACCESS.userWrite), -1);
      assert.equal(tlb.fault.kind, 'second-stage');
    }
    memory.fillAt(GUEST_BASE, 0, 0x4000);
    assert.equal(tlb.resolve(0x1ff0, 0, ACCESS.read), GUEST_BASE + 0x1ff0, 'a hit reads nothing');
  });
});
