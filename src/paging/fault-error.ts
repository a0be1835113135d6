import { hex } from '../core/index.ts';
import { WHY } from './fault-reason.ts';
import { PagingError } from './paging-error.ts';
import type { WalkFault } from './walk-fault.ts';

/** The fault of a failed `resolve` as an error, to be the cause of another one. */
export function faultError(fault: WalkFault): PagingError {
  const { gva, level, entryAddress, errorCode, kind } = fault;
  const where = { gva, level, entryAddress };
  switch (kind) {
    case 'page-fault':
      return new PagingError('page-fault', `Page fault at ${hex(gva)}: ${why(fault, kind)}`, {
        ...where,
        errorCode,
      });
    case 'table-unreadable':
      return new PagingError('table-unreadable', `Cannot translate ${hex(gva)}: ${why(fault, kind)}`, where);
    case 'second-stage': {
      const { secondStage = 'page-fault', during, gpa } = fault;
      const what = during === 'table-walk' ? 'a table entry' : 'the page';
      return new PagingError(
        'second-stage',
        `Cannot translate ${hex(gva)}: the second stage refuses ${what} at ${hex(gpa)}: ${why(fault, secondStage)}`,
        { ...(secondStage === 'not-canonical' ? { gva } : where), errorCode, secondStage, during, gpa },
      );
    }
    default:
      return new PagingError(
        'not-canonical',
        `Cannot translate ${hex(gva)}: ${why(fault, 'not-canonical')}`,
        { gva, errorCode },
      );
  }
}

/** What the stage that refuses says, as the end of a sentence. */
function why(
  { level, entryAddress, errorCode, reason }: WalkFault,
  kind: 'page-fault' | 'not-canonical' | 'table-unreadable',
): string {
  const entry = `level ${level} entry at ${hex(entryAddress)}`;
  switch (kind) {
    case 'page-fault':
      return `${WHY[reason](entry)}, error code ${hex(errorCode)}`;
    case 'table-unreadable':
      return `the ${entry} cannot be read`;
    case 'not-canonical':
      return 'it is not canonical';
  }
}
