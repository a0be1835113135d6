import { EPT_4LEVEL, EPT_5LEVEL } from './ept-formats.ts';
import type { PagingFormat } from './format.ts';
import { NPT_4LEVEL, NPT_5LEVEL } from './npt-formats.ts';
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
