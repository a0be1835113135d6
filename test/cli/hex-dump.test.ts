import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type DumpPiece, hexDump } from '../../src/cli/format/hex-dump.ts';

function bytes(start: bigint, ...values: number[]): DumpPiece {
  return { start, end: start + BigInt(values.length), bytes: Uint8Array.from(values) };
}

function hole(start: bigint, end: bigint, reason: string): DumpPiece {
  return { start, end, reason };
}

const text = (value: string): number[] => [...value].map((char) => char.charCodeAt(0));

describe('hexDump', () => {
  it('C: prints sixteen bytes a row with their ASCII', () => {
    const rows = [...hexDump([bytes(0x300000n, ...text('NODEMFD!VIAMEM!!'))])];
    assert.deepEqual(rows, [
      '0000000000300000  4e 4f 44 45 4d 46 44 21  56 49 41 4d 45 4d 21 21  |NODEMFD!VIAMEM!!|',
    ]);
  });

  it('C: prints ?? for what is not there and says why, never 00', () => {
    const rows = [
      ...hexDump([bytes(0x10n, 0, 0x41, 0x7f), hole(0x13n, 0x16n, 'not RAM'), bytes(0x16n, 0x42)]),
    ];
    assert.deepEqual(rows, [
      '0000000000000010  00 41 7f ?? ?? ?? 42                              |.A....B|  not RAM',
    ]);
  });

  it('I1: keeps the reasons of two holes in one row apart', () => {
    const rows = [...hexDump([hole(0n, 8n, 'truncated'), hole(8n, 16n, 'filtered out')])];
    assert.equal(rows.length, 1);
    assert.match(rows[0] ?? '', /truncated, filtered out$/);
  });

  it('C: folds rows that repeat, and says how much they are', () => {
    const same = new Array<number>(64).fill(0xee);
    const rows = [...hexDump([bytes(0n, ...same), bytes(64n, 1)])];
    assert.equal(rows.length, 3);
    assert.match(rows[0] ?? '', /^0{16} {2}ee ee/);
    assert.equal(rows[1], '*                 48 B more of the same');
    assert.match(rows[2] ?? '', /^0{14}40 {2}01 /);
    assert.equal([...hexDump([bytes(0n, ...same), bytes(64n, 1)], { all: true })].length, 5);
  });

  it('C: a hole of an exabyte takes two lines and no time', () => {
    const rows = [...hexDump([bytes(0n, 1), hole(1n, 1n << 60n, 'not RAM')])];
    assert.equal(rows.length, 3);
    assert.match(rows[2] ?? '', /more of the same$/);
  });

  it('C: however it is cut into pieces, the dump is the same', () => {
    const whole = fc.array(fc.constantFrom(0, 1, 0x41, undefined), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(whole, fc.array(fc.integer({ min: 1, max: 40 })), (cells, cuts) => {
        const piecesOf = (lengths: readonly number[]): DumpPiece[] => {
          const pieces: DumpPiece[] = [];
          let at = 0;
          let cut = 0;
          while (at < cells.length) {
            const absent = cells[at] === undefined;
            const limit = at + (lengths[cut++ % Math.max(1, lengths.length)] ?? cells.length);
            let end = at + 1;
            while (end < Math.min(limit, cells.length) && (cells[end] === undefined) === absent) end += 1;
            pieces.push(
              absent
                ? hole(BigInt(at), BigInt(end), 'gone')
                : bytes(BigInt(at), ...cells.slice(at, end).map(Number)),
            );
            at = end;
          }
          return pieces;
        };
        for (const all of [true, false]) {
          assert.deepEqual([...hexDump(piecesOf(cuts), { all })], [...hexDump(piecesOf([]), { all })]);
        }
        const rows = [...hexDump(piecesOf(cuts), { all: true })];
        assert.equal(rows.length, Math.ceil(cells.length / 16));
        const printed = rows.flatMap((row) => row.slice(17, 67).trim().split(/ +/));
        const wanted = cells.map((cell) => (cell === undefined ? '??' : cell.toString(16).padStart(2, '0')));
        assert.deepEqual(printed, wanted);
      }),
      { numRuns: 300 },
    );
  });
});
