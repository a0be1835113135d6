import { hex } from '../core/index.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { PagingControls } from './controls.ts';
import { checkRange, type PageSpan } from './edit-range.ts';
import { checkExecute, type ExecuteRequest, executeChange } from './execute-rights.ts';
import type { PagingFormat } from './format.ts';
import { PagingError, type PagingErrorCode } from './paging-error.ts';
import { READ, USER, WRITE } from './rights.ts';

/** What {@link map} is to do. Addresses and length are multiples of the format's smallest page. */
export interface MapRequest extends ExecuteRequest {
  readonly format: PagingFormat;
  readonly controls?: PagingControls;
  readonly gva: bigint;
  readonly gpa: number;
  /** Bytes. */
  readonly length: number;
  /** Default false: read-only. */
  readonly write?: boolean;
  /** Default false: for the supervisor only. In nested paging and RISC-V's G-stage every page is user mode's. */
  readonly user?: boolean;
  /** Default false. */
  readonly global?: boolean;
  /**
   * As the format has it: see `MappedTranslation.memoryType`. Default: write-back. That is 0 on x86 (entry 0 of the page
   * attribute table, as it is after reset) and in nested paging, in stage 1 of AArch64 (attribute 0 of MAIR_EL1, which is what
   * the operating system makes it) and on RISC-V (PBMT 0: as the memory itself is); 6 in EPT; in stage 2 of AArch64
   * 0b1111, where with HCR_EL2.FWB 6 is to be asked for.
   */
  readonly memoryType?: number;
  /** 0 to 15. Default 0. */
  readonly protectionKey?: number;
  /** What the leaf keeps for software: 3 bits on x86, 4 on AArch64, 2 on RISC-V, 5 in EPT. Default 0. */
  readonly software?: number;
  /** Default true: a processor then has no need to write the table, which may be in read-only memory. */
  readonly accessed?: boolean;
  /** Default: as `write`. A read-only page that is dirty would be a shadow stack to a processor with CET. */
  readonly dirty?: boolean;
  /**
   * Make neighbouring leaves, where they fit, one page for whoever caches them: by AArch64's contiguous bit, or as RISC-V's pages
   * of 64 KiB (Svnapot). Default false: a later edit of a part has to end such a group first. Of no effect elsewhere.
   */
  readonly contiguous?: boolean;
  /** The largest page to use, in bytes. Default: the largest that the format has. */
  readonly maxPageSize?: number;
  /** As in {@link EditRange.changeShared}. */
  readonly changeShared?: boolean;
}

/** What a request wanted, as the beginning of a message. */
export function subject(request: MapRequest): string {
  return `Cannot map ${hex(request.length)} bytes at ${hex(request.gva)} to ${hex(request.gpa)}`;
}

/** Everything about a request that can be told without looking at the tables; answers the range as page numbers. */
export function checkRequest(compiled: CompiledFormat, request: MapRequest): PageSpan {
  const { format, controls, granule, physicalBits } = compiled;
  const { gva, gpa, length, maxPageSize = granule } = request;
  const fail = (why: string, code: PagingErrorCode = 'invalid'): PagingError =>
    new PagingError(code, `${subject(request)}: ${why}`, { gva });
  if (!Number.isSafeInteger(gpa) || gpa < 0) throw fail('wanted a physical address');
  const span = checkRange(compiled, request, subject(request));
  if (gpa % granule !== 0)
    throw fail(`wanted a physical address that is a multiple of ${hex(granule)}`, 'misaligned');
  if (gpa + length > 2 ** physicalBits)
    throw fail(`wanted physical addresses of at most ${physicalBits} bits`);
  compiled.checkAttributes(request, fail);
  checkExecute(compiled, { ...request, execute: request.execute ?? false }, fail);
  if (!(maxPageSize >= granule))
    throw fail(`current largest page ${maxPageSize}, wanted at least ${granule} bytes`);
  const deniesExecution = compiled.deniesExecution && controls['nxe'] !== false;
  if (request.execute !== true && !deniesExecution) {
    const without = compiled.deniesExecution ? ' without EFER.NXE' : '';
    throw fail(`${format.title} cannot deny execution${without}, wanted execute: true`);
  }
  return span;
}

const A_READ = { kind: 'read', user: false, implicit: false, ac: false, shadowStack: false } as const;

/** What is asked for, as a rights code of what the format has bits for. */
export function rightsCode(compiled: CompiledFormat, request: MapRequest): number {
  const { write = false, execute = false, user = false, supervisorExecute } = request;
  const { architecture } = compiled.format;
  // In nested paging and a G-stage every access counts as one of user mode: a page without that right is no use to anybody.
  const onlyUsers = architecture.secondStage?.(compiled.controls).userOf(A_READ, false) === true;
  const code = READ | (write ? WRITE : 0) | (user || onlyUsers ? USER : 0);
  const executable = supervisorExecute === undefined ? { execute } : { execute, supervisorExecute };
  return compiled.expressible(code | executeChange(compiled, executable, user).granted);
}
