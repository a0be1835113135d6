import type { EptControls } from './ept-formats.ts';
import type { X86Controls } from './x86-controls.ts';

/** The controls of any architecture; a format takes those of its own. */
export type PagingControls = X86Controls | EptControls;
