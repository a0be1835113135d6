import { hex } from '../core/index.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { PagingControls } from './controls.ts';
import type { PagingFormat } from './format.ts';
import { PagingError, type PagingErrorCode } from './paging-error.ts';
import { isCanonical, pageOf, upperHalf } from './virtual-range.ts';

/** What {@link map} is to do. Addresses and lengths are multiples of 4 KiB. */
export interface MapRequest {
  readonly format: PagingFormat;
  readonly controls?: PagingControls;
  readonly gva: bigint;
  readonly gpa: number;
  /** Bytes. */
  readonly length: number;
  /** Default false: read-only. */
  readonly write?: boolean;
  /** Default false. 32-bit x86, and any format without EFER.NXE, cannot deny execution: true is wanted there. */
  readonly execute?: boolean;
  /** Default false: for the supervisor only. */
  readonly user?: boolean;
  /** Default false. */
  readonly global?: boolean;
  /** Index into the page attribute table, 0 to 7. Default 0: write-back after reset. */
  readonly memoryType?: number;
  /** 0 to 15. Default 0. */
  readonly protectionKey?: number;
  /** Default true: a processor then has no need to write the table, which may be in read-only memory. */
  readonly accessed?: boolean;
  /** Default: as `write`. A read-only page that is dirty would be a shadow stack to a processor with CET. */
  readonly dirty?: boolean;
  /** The largest page to use, in bytes. Default: the largest that the format has. */
  readonly maxPageSize?: number;
}

/** What a request wanted, as the beginning of a message. */
export function subject(request: MapRequest): string {
  return `Cannot map ${hex(request.length)} bytes at ${hex(request.gva)} to ${hex(request.gpa)}`;
}

/** Everything about a request that can be told without looking at the tables. */
export function checkRequest(compiled: CompiledFormat, request: MapRequest): void {
  const { format, controls } = compiled;
  const { gva, gpa, length, memoryType = 0, protectionKey = 0, maxPageSize = 4096 } = request;
  const fail = (code: PagingErrorCode, why: string): PagingError =>
    new PagingError(code, `${subject(request)}: ${why}`, { gva });
  if (gva < 0n || gva >> 64n !== 0n) throw fail('invalid', 'wanted a virtual address of 64 bits');
  if (!Number.isSafeInteger(gpa) || gpa < 0) throw fail('invalid', 'wanted a physical address');
  if (!Number.isSafeInteger(length) || length <= 0)
    throw fail('invalid', `current length ${length}, wanted at least a page`);
  if (gva % 4096n !== 0n || gpa % 4096 !== 0 || length % 4096 !== 0) {
    throw fail('misaligned', 'wanted addresses and a length that are multiples of 0x1000');
  }
  const first = pageOf(format, gva);
  const end = first < upperHalf(format) ? upperHalf(format) : upperHalf(format) * 2;
  if (!isCanonical(format, gva) || length / 4096 > end - first) {
    throw fail('not-canonical', `wanted a range within ${format.addressBits}-bit addresses`);
  }
  const width = compiled.physicalBits;
  if (gpa + length > 2 ** width) throw fail('invalid', `wanted physical addresses of at most ${width} bits`);
  if (!isIntegerUpTo(memoryType, 7))
    throw fail('invalid', `current memory type ${memoryType}, wanted 0 to 7`);
  const keys = format.attributes.some(({ attribute }) => attribute === 'protectionKey') ? 15 : 0;
  if (!isIntegerUpTo(protectionKey, keys)) {
    throw fail('invalid', `current protection key ${protectionKey}, wanted 0 to ${keys}`);
  }
  if (!(maxPageSize >= 4096))
    throw fail('invalid', `current largest page ${maxPageSize}, wanted at least 4096 bytes`);
  const deniesExecution = compiled.deniesExecution && controls['nxe'] !== false;
  if (request.execute !== true && !deniesExecution) {
    throw fail(
      'invalid',
      `${format.title} cannot deny execution${compiled.deniesExecution ? ' without EFER.NXE' : ''}, wanted execute: true`,
    );
  }
}

function isIntegerUpTo(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}
