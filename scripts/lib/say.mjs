/** Something is missing or wrong, and one line says what; no stack trace helps. */
export class Stop extends Error {
  /**
   * @param {string} message
   * @param {number} [status] the exit status of the command
   */
  constructor(message, status = 1) {
    super(message);
    this.name = 'Stop';
    this.status = status;
  }
}

/** @param {string} line */
export function say(line) {
  process.stdout.write(`${line}\n`);
}

/**
 * Tells what goes on, on standard error: standard output may be for a program.
 *
 * @param {string} line
 */
export function note(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a command's body. A `Stop` becomes one line and the exit status; any other error is a defect and keeps its
 * trace.
 *
 * @param {() => void | number | Promise<void | number>} body answers the exit status, 0 if nothing
 */
export async function main(body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error.status;
  }
}

/**
 * @param {number} ms
 * @returns {string} such as `850 ms` or `12.3 s`
 */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * @param {string} text
 * @returns {string} the text, moved in, so that the output of a tool is seen to be that
 */
export function indent(text) {
  return text.replace(/\s+$/, '').replace(/^/gm, '  | ');
}
