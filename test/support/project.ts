/** Where the project and its command are, for tests that start programs. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Finished, run } from './child.ts';

/** The project's folder (this file is compiled to `dist/test/support/`). */
export const projectRoot: string = fileURLToPath(new URL('../../../', import.meta.url));

/** The program and first argument that are the `guestmem` command, as built. */
export const guestmemCommand: readonly [string, string] = [
  process.execPath,
  join(projectRoot, 'dist', 'src', 'cli', 'main.js'),
];

/** Runs `guestmem` with these arguments to its end; never throws for its exit status. */
export async function guestmem(args: readonly string[], ms = 180_000): Promise<Finished> {
  const [node, main] = guestmemCommand;
  return await run(node, [main, ...args], ms);
}
