import { describe } from 'node:test';
import { RISCV_FORMATS } from '../../src/paging/index.ts';
import { flipEveryBit } from './support/riscv-bit-flips.ts';
import { isGuest } from './support/riscv-machine.ts';

describe('every single-bit flip of a valid entry, in the one stage of RISC-V', () => {
  flipEveryBit(RISCV_FORMATS.filter((format) => !isGuest(format)));
});
