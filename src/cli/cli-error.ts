/** Why the command itself refused: the command line, the input named on it, or where the output went. */
export type CliErrorCode = 'usage' | 'input' | 'output';

/** A refusal of the command, in words for the person who typed it. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whether `error` is a {@link CliError}, by its shape. */
export function isCliError(error: unknown): error is CliError {
  return error instanceof Error && error.name === 'CliError' && 'code' in error;
}
