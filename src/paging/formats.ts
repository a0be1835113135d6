import { aarch64Stage1Format, aarch64Stage2Format } from './aarch64-formats.ts';
import { EPT_4LEVEL, EPT_5LEVEL, eptFormat } from './ept-formats.ts';
import type { PagingFormat } from './format.ts';
import { NPT_4LEVEL, NPT_5LEVEL } from './npt-formats.ts';
import { isPagingError } from './paging-error.ts';
import { RISCV_FORMATS } from './riscv-formats.ts';
import { X86_FORMATS } from './x86-formats.ts';

/** Every format that needs no parameters, for a look-up by name. */
export const FORMATS: readonly PagingFormat[] = [
  ...X86_FORMATS,
  EPT_4LEVEL,
  EPT_5LEVEL,
  NPT_4LEVEL,
  NPT_5LEVEL,
  ...RISCV_FORMATS,
];

/**
 * The format of a name, as formats bear it: `x86-4level`, `riscv-sv39x4`, `ept-4level-mbec`, `aarch64-4k-48bit-upper`,
 * `aarch64-16k-52bit-lower-wide`, `aarch64-stage2-4k-40bit-level1` ... `undefined` where none is called so.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { aarch64Stage1Format, formatNamed } from 'guestmem/paging';
 *
 * const { name } = aarch64Stage1Format({ granule: 65536, inputBits: 42, half: 'upper' });
 * assert.equal(name, 'aarch64-64k-42bit-upper');
 * assert.deepEqual(formatNamed(name)?.levels.map(({ level }) => level), [2, 3]);
 * assert.equal(formatNamed('aarch64-4k-64bit-lower'), undefined);
 * ```
 */
export function formatNamed(name: string): PagingFormat | undefined {
  try {
    const format = FORMATS.find((known) => known.name === name) ?? withParameters(name);
    // Only the one spelling that the format itself has.
    return format?.name === name ? format : undefined;
  } catch (error) {
    // Parameters that do not go together.
    if (isPagingError(error)) return undefined;
    throw error;
  }
}

function withParameters(name: string): PagingFormat | undefined {
  const ept = /^ept-([45])level-mbec$/.exec(name);
  if (ept !== null) return eptFormat({ levels: ept[1] === '4' ? 4 : 5, modeBasedExecute: true });
  const stage1 = /^aarch64-(4|16|64)k-(\d\d)bit-(lower|upper)(-wide)?(-hpd)?$/.exec(name);
  if (stage1 !== null) {
    const [, size, bits, half, wide, hpd] = stage1;
    return aarch64Stage1Format({
      ...{ granule: granuleOf(size), inputBits: Number(bits), half: half === 'upper' ? 'upper' : 'lower' },
      ...{ wide: wide !== undefined, hierarchyDisabled: hpd !== undefined },
    });
  }
  const stage2 = /^aarch64-stage2-(4|16|64)k-(\d\d)bit-level(-?\d)(-wide)?(-no-xnx)?$/.exec(name);
  if (stage2 === null) return undefined;
  const [, size, bits, level, wide, noXnx] = stage2;
  return aarch64Stage2Format({
    ...{ granule: granuleOf(size), inputBits: Number(bits), startLevel: Number(level) },
    ...{ wide: wide !== undefined, xnx: noXnx === undefined },
  });
}

function granuleOf(size: string | undefined): 4096 | 16384 | 65536 {
  return size === '4' ? 4096 : size === '16' ? 16384 : 65536;
}
