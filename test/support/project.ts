/** Where the project and its command are, for tests that start programs. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, type Finished, run } from './child.ts';

/** The project's folder (this file is compiled to `dist/test/support/`). */
export const projectRoot: string = fileURLToPath(new URL('../../../', import.meta.url));

const command = join(projectRoot, 'dist', 'src', 'cli', 'main.js');

/** Runs `guestmem` with these arguments to its end; never throws for its exit status. */
export async function guestmem(args: readonly string[], ms = 60_000): Promise<Finished> {
  return await run(process.execPath, [command, ...args], ms);
}

/** Starts `guestmem` with these arguments and leaves it running. */
export function startGuestmem(args: readonly string[]): Child {
  return new Child(process.execPath, [command, ...args], { name: `guestmem ${args[0] ?? ''}` });
}
