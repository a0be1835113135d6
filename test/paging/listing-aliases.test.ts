import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatRights, mappings, Translator, X86_4LEVEL } from '../../src/paging/index.ts';
import { SparseTables } from './support/aarch64.ts';

type Entries = readonly (readonly [gpa: number, entry: bigint])[];

describe('tables that are met again', () => {
  /** A listing of tables anywhere. */
  function sparse(root: number, entries: Entries): string[] {
    const tables = new SparseTables(root, 2 ** 52);
    for (const [gpa, entry] of entries) tables.entries.set(gpa, entry);
    return Array.from(mappings(new Translator({ tables, format: X86_4LEVEL })), (record) =>
      record.kind === 'mapped' ? `${record.gpa.toString(16)} ${formatRights(record.rights)}` : record.kind,
    );
  }
  const entry = (gpa: number, flags = 3): bigint => BigInt(gpa) | BigInt(flags);
  const POWERS = Array.from({ length: 39 }, (_, i) => 2 ** (12 + i));

  it('T6: however far away, they are told apart by their addresses', () => {
    const root = 2 ** 40 + 0x1000;
    for (const apart of POWERS) {
      const [directories, near] = [0x7000, 2 ** 51];
      const far = near + apart;
      const found = sparse(root, [
        [root, entry(directories)],
        [directories, entry(near)],
        [directories + 8, entry(far)],
        [directories + 16, entry(far)],
        [near, entry(0x20_0000, 0x83)],
        [far, entry(0x40_0000, 0x83)],
      ]);
      assert.deepEqual(found, ['200000 rwxs', '400000 rwxs', 'alias'], `${apart} bytes apart`);
    }
  });

  it('T6: and by their level', () => {
    const root = 0x1000;
    for (const apart of POWERS) {
      const upper = 2 ** 51;
      const lower = upper - apart;
      const found = sparse(root, [
        [root, entry(upper)],
        [upper, entry(lower)],
        [lower + 0x18, entry(0x40_0000, 0x83)],
        [root + 8, entry(upper)],
      ]);
      assert.deepEqual(found, ['400000 rwxs', 'alias'], `${apart} bytes apart`);
    }
  });

  it('T6: and by the rights that they are met with', () => {
    const [root, directories] = [0x1000, 0x7000];
    for (const apart of [0, ...POWERS]) {
      const near = 2 ** 51;
      const far = near + apart;
      for (const [first, second] of [
        [1, 3],
        [3, 1],
        [3, 7],
        [7, 3],
      ] as const) {
        const found = sparse(root, [
          [root, entry(directories, 7)],
          [directories, entry(near, first)],
          [directories + 8, entry(far, second)],
          [near, entry(0x20_0000, 0x87)],
          [far, entry(0x20_0000, 0x87)],
        ]);
        const told = (flags: number): string =>
          `200000 r${(flags & 2) === 0 ? '-' : 'w'}x${(flags & 4) === 0 ? 's' : 'u'}`;
        assert.deepEqual(found, [told(first), told(second)], `${apart} bytes apart`);
      }
    }
  });
});
