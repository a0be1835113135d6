import type { Command } from 'commander';
import pc from 'picocolors';
import { ExitStatus } from './exit-status.ts';
import { Output } from './output.ts';

/** The colour functions; each gives its text back unchanged when there is no terminal. */
export type Colors = ReturnType<typeof pc.createColors>;

/** What a verb prints through. */
export interface Console {
  readonly out: Output;
  readonly colors: Colors;
  /** One line for the person, beside the data: a notice or a warning, on standard error. */
  notice(line: string): void;
  /** Shows how far long work is, over the line shown before; empty text takes it away. Nothing without a terminal. */
  progress(text: string): void;
}

/**
 * Gives `command` its action: `run` gets a console, the arguments and the options; its result becomes the exit status.
 * Nothing ends the process by force, so that what was written to a pipe arrives.
 */
export function setAction<Options extends object>(
  command: Command,
  run: (console: Console, args: readonly string[], options: Options) => Promise<ExitStatus>,
): Command {
  return command.action(async () => {
    const console = makeConsole();
    const status = await run(console, command.args, command.opts<Options>());
    await console.out.flush();
    if (status !== ExitStatus.ok) process.exitCode = status;
  });
}

function makeConsole(): Console {
  return {
    out: new Output(process.stdout),
    colors: pc.createColors(wantsColor(process.stdout.isTTY, process.env)),
    notice: (line) => {
      process.stderr.write(`guestmem: ${line}\n`);
    },
    progress: (text) => {
      if (process.stderr.isTTY === true) process.stderr.write(`\r\x1b[K${text}`);
    },
  };
}

/** Colours go to terminals only, and not where the person asked for none (no-color.org). */
export function wantsColor(
  isTerminal: boolean | undefined,
  env: { readonly NO_COLOR?: string | undefined; readonly TERM?: string | undefined },
): boolean {
  return isTerminal === true && !env.NO_COLOR && env.TERM !== 'dumb';
}
