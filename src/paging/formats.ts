import type { PagingFormat } from './format.ts';
import { X86_FORMATS } from './x86-formats.ts';

/** Every format that needs no parameters, for a look-up by name. */
export const FORMATS: readonly PagingFormat[] = [...X86_FORMATS];
