import type { AArch64Controls } from './aarch64-architecture.ts';
import type { EptControls } from './ept-formats.ts';
import type { RiscvControls } from './riscv-controls.ts';
import type { X86Controls } from './x86-controls.ts';

/** The controls of any architecture; a format takes those of its own. */
export type PagingControls = X86Controls | EptControls | AArch64Controls | RiscvControls;
