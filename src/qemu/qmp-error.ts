/** What went wrong with a QEMU monitor, as a value to switch on. The set is closed. */
export type QmpErrorCode = 'connect' | 'busy' | 'timeout' | 'protocol' | 'command' | 'closed';

/** The circumstances of a failure. */
export interface QmpErrorFacts {
  /** The monitor's socket. */
  readonly path: string;
  /** The command it happened to. */
  readonly command?: string | undefined;
  /** QEMU's own name for the kind of error, for `command`: `GenericError`, `DeviceNotFound` ... */
  readonly errorClass?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The one error of this room:
 *
 * - `connect`: nobody listens at that path, or we may not;
 * - `busy`: somebody listens but does not greet: QEMU serves one monitor client at a time;
 * - `timeout`: a command was not answered in time; the connection stays usable;
 * - `protocol`: what came is not what QEMU says; the connection is given up;
 * - `command`: QEMU refused a command; `errorClass` and the message say why;
 * - `closed`: the connection has ended.
 */
export class QmpError extends Error {
  override readonly name: 'QmpError' = 'QmpError';
  readonly code: QmpErrorCode;
  readonly path: string;
  readonly command: string | undefined;
  readonly errorClass: string | undefined;

  constructor(code: QmpErrorCode, message: string, facts: QmpErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.path = facts.path;
    this.command = facts.command;
    this.errorClass = facts.errorClass;
  }
}

/** Tells a {@link QmpError} from anything else, by its shape: an error of another copy of this package passes too. */
export function isQmpError(value: unknown): value is QmpError {
  return (
    value instanceof Error &&
    value.name === 'QmpError' &&
    'code' in value &&
    typeof value.code === 'string' &&
    'path' in value
  );
}
