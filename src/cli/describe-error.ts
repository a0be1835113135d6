import { CommanderError } from 'commander';
import { isCliError } from './cli-error.ts';
import { ExitStatus } from './exit-status.ts';
import { OutputClosed } from './output.ts';
import { isSystemError, systemReason } from './system-error.ts';

/** What is said about an error and how the command ends; no `line` when there is nothing to say. */
export interface ErrorReport {
  readonly status: ExitStatus;
  readonly line: string | undefined;
}

/** The errors of the rooms below: their messages are written for people and are shown as they are. */
const ROOM_ERRORS: ReadonlySet<string> = new Set([
  'GuestMemoryError',
  'HostError',
  'ImageError',
  'PagingError',
  'QmpError',
  'QueueError',
  'VhostUserError',
]);

/** Turns whatever was thrown into the one line that is printed and the exit status of the command. */
export function describeError(error: unknown): ErrorReport {
  if (error instanceof OutputClosed) return { status: ExitStatus.ok, line: undefined };
  if (error instanceof CommanderError) return commandLine(error);
  if (!(error instanceof Error)) return { status: ExitStatus.unusable, line: oneLine(String(error)) };
  if (isCliError(error)) {
    const status = error.code === 'usage' ? ExitStatus.usage : ExitStatus.unusable;
    return { status, line: oneLine(error.message) };
  }
  if (ROOM_ERRORS.has(error.name)) return { status: ExitStatus.unusable, line: oneLine(error.message) };
  if (isSystemError(error)) {
    const path = error.path === undefined ? '' : ` ${error.path}`;
    const line = `Cannot ${error.syscall}${path}: ${systemReason(error)}`;
    return { status: ExitStatus.unusable, line: oneLine(line) };
  }
  const line = `This is a defect of guestmem: ${error.name}: ${error.message} (--debug shows where)`;
  return { status: ExitStatus.unusable, line: oneLine(line) };
}

/** Commander throws to end the program after `--help` and `--version` too; what it printed is enough there. */
function commandLine(error: CommanderError): ErrorReport {
  if (error.exitCode === 0) return { status: ExitStatus.ok, line: undefined };
  if (error.code === 'commander.help') return { status: ExitStatus.usage, line: undefined };
  const text = oneLine(error.message.replace(/^error: /, '')).replace(/\.$/, '');
  const line = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return { status: ExitStatus.usage, line };
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ');
}
