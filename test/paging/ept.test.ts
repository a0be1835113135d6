import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  accessCode,
  type EptControls,
  eptFormat,
  formatRights,
  type PageAccess,
  Translator,
} from '../../src/paging/index.ts';
import { EPT, type EptConfig, eptTranslate } from '../support/oracles/ept.ts';
import { differences, lastWrites, oracleMemory } from './support/oracle-memory.ts';

const SIZE = 0x8000;
const GPA = 0x12_3456_7abcn;
const ACCESSES: readonly PageAccess[] = (['read', 'write', 'execute'] as const).flatMap((kind) => [
  { kind, user: false },
  { kind, user: true },
  ...(kind === 'execute' ? [] : [false, true].map((user) => ({ kind, user, shadowStack: true }))),
]);

interface Processor {
  readonly title: string;
  readonly config: Partial<EptConfig>;
}

const PROCESSORS: readonly Processor[] = [
  { title: 'everything on, 52 bits', config: {} },
  {
    title: '39 bits, no execute-only, no large pages',
    config: { maxPhyAddr: 39, executeOnly: false, pages2M: false, pages1G: false },
  },
  { title: '46 bits, mode-based execute control', config: { maxPhyAddr: 46, mbec: true } },
  { title: 'supervisor shadow stacks', config: { supervisorShadowStacks: true } },
  {
    title: 'supervisor shadow stacks, accessed and dirty',
    config: { supervisorShadowStacks: true, accessedDirty: true },
  },
  {
    title: 'mode-based execute control, no execute-only, accessed and dirty',
    config: { mbec: true, executeOnly: false, accessedDirty: true },
  },
];

function translatorOf(memory: GuestMemory, config: EptConfig): Translator {
  const controls: EptControls = {
    maxPhyAddr: config.maxPhyAddr,
    executeOnly: config.executeOnly,
    megabytePages: config.pages2M,
    gigabytePages: config.pages1G,
    supervisorShadowStacks: config.supervisorShadowStacks === true,
    accessedDirty: config.accessedDirty ? 'update' : 'off',
  };
  const format = eptFormat({ levels: config.levels, modeBasedExecute: config.mbec });
  return new Translator({ memory, format, root: config.root, controls });
}

/** Tables one page apart, with the leaf at a level; the addresses of their entries, root first. */
function chain(memory: GuestMemory, levels: number, leafLevel: number): number[] {
  const addresses: number[] = [];
  for (let level = levels; level >= leafLevel; level--) {
    const table = (levels - level + 1) * 0x1000;
    const address = table + Number((GPA >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
    const size = 1n << BigInt(12 + 9 * (level - 1));
    const leaf = (size * 3n) | (level > 1 ? 0x80n : 0n) | 0x437n;
    memory.writeU64(address, level === leafLevel ? leaf : BigInt(table + 0x1000) | 0x407n);
    addresses.push(address);
  }
  return addresses;
}

/** Both answers to one access, each on memory as it was, in the same words. */
function answers(
  memory: GuestMemory,
  config: EptConfig,
  translator: Translator,
  access: PageAccess,
): unknown[] {
  const before = memory.readBytes(0, SIZE);
  const user = access.user === true;
  const expected = eptTranslate(config, oracleMemory(memory), GPA, { ...access, user, linear: 'none' });
  const found = translator.translate(GPA, access);
  const writes = found.kind === 'mapped' ? differences(before, memory) : [];
  memory.writeAt(0, before);
  const resolved = translator.resolve(Number(GPA & 0xffff_ffffn), Number(GPA >> 32n), accessCode(access));
  memory.writeAt(0, before);
  const outcome =
    found.kind === 'mapped'
      ? [
          'mapped',
          BigInt(found.gpa),
          BigInt(found.pageSize),
          found.memoryType,
          `${formatRights({ ...found.rights, execute: found.rights.supervisorExecute }).slice(0, 3)}${found.rights.execute ? 'u' : '-'}`,
          writes,
        ]
      : found.kind === 'page-fault'
        ? [
            found.reason === 'misconfigured' ? 'misconfiguration' : 'violation',
            found.errorCode,
            found.level,
            BigInt(found.entryAddress),
          ]
        : [found.kind];
  assert.equal(resolved, found.kind === 'mapped' ? found.gpa : -1);
  const wanted =
    expected.kind === 'mapped'
      ? [
          'mapped',
          expected.pa,
          expected.pageSize,
          expected.memoryType,
          expected.rights,
          lastWrites(expected.writes),
        ]
      : expected.kind === 'fault'
        ? [expected.reason, expected.code, expected.level, expected.entryAddress]
        : ['table-unreadable'];
  return [outcome, wanted];
}

describe('extended page tables: every single-bit flip of a valid entry', () => {
  for (const levels of [4, 5] as const) {
    for (const leafLevel of [1, 2, 3]) {
      for (const { title, config: partial } of PROCESSORS) {
        it(`T2 T3: ${levels} levels, leaf at level ${leafLevel}, ${title}: the naive walker's outcome, exactly`, () => {
          const memory = GuestMemory.allocate(SIZE);
          const config: EptConfig = { ...EPT, root: 0x1000n, levels, ...partial };
          const addresses = chain(memory, levels, leafLevel);
          const translator = translatorOf(memory, config);
          const kinds = new Set<unknown>();
          for (const address of addresses) {
            const before = memory.readU64(address);
            // Two bits at once where the low ones are among them: rights come in combinations.
            const flips = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit));
            const pairs = [0n, 1n, 2n, 10n].flatMap((a) =>
              [1n, 2n, 10n].map((b) => (1n << a) | (1n << b) | 1n),
            );
            // Read-only, and a shadow stack or not.
            const stacks = [1n << 60n, (1n << 60n) | 2n, (1n << 60n) | 3n];
            for (const flip of [0n, ...flips, ...pairs, ...stacks]) {
              memory.writeU64(address, before ^ flip);
              for (const access of ACCESSES) {
                const [found, wanted] = answers(memory, config, translator, access);
                const what = `0x${flip.toString(16)} in the entry at 0x${address.toString(16)}, ${JSON.stringify(access)}`;
                assert.deepEqual(found, wanted, what);
                kinds.add(Array.isArray(found) ? found[0] : found);
              }
            }
            memory.writeU64(address, before);
          }
          assert(kinds.has('violation') && kinds.has('misconfiguration'));
        });
      }
    }
  }

  it('T2: an address that is too wide is a violation without an entry', () => {
    const translator = translatorOf(GuestMemory.allocate(SIZE), { ...EPT, root: 0n });
    const found = translator.translate(1n << 48n, { kind: 'write' });
    assert.deepEqual([found.kind, found.kind === 'not-canonical' && found.errorCode], ['not-canonical', 2]);
  });
});
