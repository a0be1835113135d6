import { constants } from 'node:os';

const { EAGAIN, EWOULDBLOCK, EINTR } = constants.errno;

/** Whether an error says "not now": on a non-blocking descriptor there is nothing to read, or no room. */
export function isTryAgain(errno: number): boolean {
  return errno === EAGAIN || errno === EWOULDBLOCK;
}

/** Whether a signal came first; the call is simply made again. */
export function isInterrupted(errno: number): boolean {
  return errno === EINTR;
}
