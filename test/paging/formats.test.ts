import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  aarch64Stage1Format,
  aarch64Stage2Format,
  eptFormat,
  FORMATS,
  formatNamed,
  type PagingFormat,
} from '../../src/paging/index.ts';

const WITH_PARAMETERS: readonly PagingFormat[] = [
  eptFormat({ levels: 4, modeBasedExecute: true }),
  eptFormat({ levels: 5, modeBasedExecute: true }),
  ...([4096, 16384, 65536] as const).flatMap((granule) => [
    aarch64Stage1Format({ granule, inputBits: 48 }),
    aarch64Stage1Format({ granule, inputBits: 39, half: 'upper', hierarchyDisabled: true }),
    aarch64Stage1Format({ granule, inputBits: 52, half: 'upper', wide: true }),
    aarch64Stage2Format({ granule, inputBits: 40 }),
    aarch64Stage2Format({ granule, inputBits: 52, wide: true, xnx: false }),
  ]),
  aarch64Stage2Format({ granule: 4096, inputBits: 52, wide: true, startLevel: -1 }),
];

describe('formats by their names', () => {
  it('T1: each name leads back to its format', () => {
    for (const format of FORMATS) assert.equal(formatNamed(format.name), format);
    for (const format of WITH_PARAMETERS) assert.deepEqual(formatNamed(format.name), format);
    const names = new Set([...FORMATS, ...WITH_PARAMETERS].map(({ name }) => name));
    assert.equal(names.size, FORMATS.length + WITH_PARAMETERS.length);
  });

  it('T1: what is no name is none, however near it comes', () => {
    for (const name of [
      ...['', 'off', 'x86', 'x86-6level', 'X86-4LEVEL', 'ept-3level-mbec', 'npt-4level-mbec'],
      ...[
        'aarch64-8k-48bit-lower',
        'aarch64-4k-64bit-lower',
        'aarch64-4k-52bit-lower',
        'aarch64-4k-09bit-lower',
      ],
      ...['aarch64-4k-48bit-middle', 'aarch64-4k-48bit-lower-wide-wide', 'aarch64-stage2-4k-40bit-level9'],
      ...['aarch64-stage2-4k-40bit', ' x86-4level', 'x86-4level '],
    ])
      assert.equal(formatNamed(name), undefined, name);
  });
});
