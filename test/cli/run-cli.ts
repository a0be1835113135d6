import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The built command. */
export const MAIN: string = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** How one run ended. */
export type CliResult = SpawnSyncReturns<string>;

/** Runs `guestmem` with these arguments as its users do: a process of its own, its output a pipe. */
export function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): CliResult {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 180_000,
  });
}

/** Standard output of a run, parsed as JSON. */
export function json(result: CliResult): unknown {
  return JSON.parse(result.stdout);
}

/** Asserts that `actual` has every property that `expected` names, with that value; others may be there too. */
export function assertContains(actual: unknown, expected: object): void {
  assert.ok(typeof actual === 'object' && actual !== null, `an object is wanted, not ${actual}`);
  const found = new Map(Object.entries(actual));
  for (const [key, value] of Object.entries(expected)) {
    assert.ok(found.has(key), `${key} is missing`);
    const nested = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (nested) assertContains(found.get(key), value);
    else assert.deepEqual(found.get(key), value, key);
  }
}
