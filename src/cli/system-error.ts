/** An error of a system call, as Node throws it. */
export interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly path?: string;
}

/** Why the system refused, in words; what is not here keeps Node's own message. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'the address is in use',
  EFBIG: 'the file would grow past its limit',
  EISDIR: 'it is a directory',
  ELOOP: 'too many symbolic links',
  EMFILE: 'too many open files',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on the device',
  ENOTDIR: 'a part of the path is no directory',
  ENXIO: 'nothing answers there',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
};

/** Whether `error` came from a system call. */
export function isSystemError(error: unknown): error is SystemError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    'syscall' in error &&
    typeof error.syscall === 'string'
  );
}

/** Why the system refused, without the call and the path. */
export function systemReason(error: SystemError): string {
  return REASONS[error.code] ?? error.message;
}
