import { cpus, release } from 'node:os';
import path from 'node:path';
import { ROOT } from './paths.mjs';
import { run } from './run.mjs';
import { Stop } from './say.mjs';

const TIMEOUT_MS = 120_000;

/**
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<string>} what the program printed
 */
export async function answer(program, args) {
  const { status, output } = await run(program, args, { cwd: ROOT, timeoutMs: TIMEOUT_MS });
  if (status !== 0) {
    const command = [program, ...args].map((part) => path.basename(part)).join(' ');
    throw new Stop(`${command} failed:\n${output}`);
  }
  return output;
}

/**
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<unknown>} what the program answered, in JSON
 */
export async function ask(program, args) {
  return JSON.parse(await answer(program, args));
}

/** The machine that figures were taken on, for the line below a table. */
export function machineName() {
  return `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${process.platform} ${release()}`;
}
