import { describeError } from '../describe-error.ts';

/** An error as the one line that crosses from a Worker to the main thread. */
export function errorLine(error: unknown): string {
  return describeError(error).line ?? String(error);
}
