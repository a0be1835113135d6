import { hex } from '../core/index.ts';
import { WHY } from './fault-reason.ts';
import { PagingError } from './paging-error.ts';
import type { WalkFault } from './walk-fault.ts';

/** The fault of a failed `resolve` as an error, to be the cause of another one. */
export function faultError(fault: WalkFault): PagingError {
  const { gva, level, entryAddress, errorCode } = fault;
  const entry = `level ${level} entry at ${hex(entryAddress)}`;
  const facts = { gva, level, entryAddress, errorCode };
  switch (fault.kind) {
    case 'page-fault':
      return new PagingError(
        'page-fault',
        `Page fault at ${hex(gva)}: ${WHY[fault.reason](entry)}, error code ${hex(errorCode)}`,
        facts,
      );
    case 'table-unreadable':
      return new PagingError(
        'table-unreadable',
        `Cannot translate ${hex(gva)}: the ${entry} cannot be read`,
        {
          gva,
          level,
          entryAddress,
        },
      );
    case 'second-stage':
      return new PagingError(
        'second-stage',
        `Cannot translate ${hex(gva)}: the second stage refuses ${hex(entryAddress)}, error code ${hex(errorCode)}`,
        facts,
      );
    default:
      return new PagingError('not-canonical', `Cannot translate ${hex(gva)}: it is not canonical`, { gva });
  }
}
