import { appendFileSync } from 'node:fs';

/**
 * Tells continuous integration how many things passed and failed: one line `PASSED FAILED` per command, in the file that
 * GUESTMEM_COUNTS names. Standard output stays for people.
 *
 * @param {number} passed
 * @param {number} failed
 */
export function tell(passed, failed) {
  const file = process.env['GUESTMEM_COUNTS'];
  if (file !== undefined) appendFileSync(file, `${passed} ${failed}\n`);
}
