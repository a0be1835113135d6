import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describeError } from './describe-error.ts';
import { registerDemo } from './verbs/demo.ts';
import { registerInfo } from './verbs/info.ts';
import { registerPt } from './verbs/pt.ts';
import { registerRanges } from './verbs/ranges.ts';
import { registerRead } from './verbs/read.ts';
import { registerWalk } from './verbs/walk.ts';
import { registerVhostUserBlk } from './vhost-user-blk.ts';

const EPILOGUE = `
TARGET is a dump (FILE), a raw image (raw:FILE) or a live QEMU (qemu:PATH-OF-QMP-SOCKET).
Addresses are decimal or 0x hex; lengths may end in K, M, G or T.
Exit status: 0 ok, 1 nothing found or not mapped, 2 usage, 3 input unusable, 4 partial data.`;

/** The whole command line, every verb registered, nothing run yet. */
export function makeProgram(): Command {
  const program = new Command('guestmem')
    .description("one safe, fast way into a virtual machine's memory")
    .version(readVersion(), '-V, --version', 'print the version')
    .option('--debug', 'show the stack of an error')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    // Errors are thrown to `main`, which prints them the way all others are printed.
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addHelpText('after', EPILOGUE);
  for (const register of [
    registerDemo,
    registerVhostUserBlk,
    registerInfo,
    registerRanges,
    registerRead,
    registerWalk,
    registerPt,
  ]) {
    register(program);
  }
  return program;
}

/** Runs one command line; the exit status goes to `process.exitCode`. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = makeProgram();
  try {
    await program.parseAsync(argv);
  } catch (error) {
    const { status, line } = describeError(error);
    if (line !== undefined) process.stderr.write(`guestmem: ${line}\n`);
    if (program.opts<{ debug?: boolean }>().debug === true && error instanceof Error) {
      process.stderr.write(`${error.stack}\n`);
    }
    process.exitCode = status;
  }
}

function readVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const parsed: unknown = JSON.parse(text);
  const known = typeof parsed === 'object' && parsed !== null && 'version' in parsed;
  return known ? String(parsed.version) : 'unknown';
}
