import { hex } from '../core/index.ts';
import { PagingError } from './paging-error.ts';
import type { WalkFault } from './walk-fault.ts';

/** The fault of a failed `resolve` as an error, to be the cause of another one. */
export function faultError(fault: WalkFault): PagingError {
  const { gva, level, entryAddress, errorCode } = fault;
  const entry = `the level ${level} entry at ${hex(entryAddress)}`;
  switch (fault.kind) {
    case 'page-fault':
      return new PagingError(
        'page-fault',
        `Page fault at ${hex(gva)}: ${WHY[fault.reason]} at ${entry}, error code ${hex(errorCode)}`,
        {
          gva,
          level,
          entryAddress,
          errorCode,
        },
      );
    case 'table-unreadable':
      return new PagingError('table-unreadable', `Cannot translate ${hex(gva)}: ${entry} cannot be read`, {
        gva,
        level,
        entryAddress,
      });
    default:
      return new PagingError('not-canonical', `Cannot translate ${hex(gva)}: it is not canonical`, { gva });
  }
}

const WHY: Readonly<Record<WalkFault['reason'], string>> = {
  'not-present': 'not present',
  reserved: 'reserved bits set',
  rights: 'access not allowed',
  'protection-key': 'protection key forbids the access',
};
