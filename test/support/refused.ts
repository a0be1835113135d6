import assert from 'node:assert/strict';
import {
  type GuestMemoryError,
  type GuestMemoryErrorCode,
  isGuestMemoryError,
} from '../../src/core/index.ts';

/** The closed set of SPEC E. */
export const CODES: readonly GuestMemoryErrorCode[] = [
  'invalid',
  'unmapped',
  'denied',
  'misaligned',
  'overlap',
  'too-large',
  'fault',
  'retry-limit',
  'pending',
  'locked',
  'closed',
  'unsupported',
];

/** What a refusal has to say; what is not named is not looked at. */
export interface Facts {
  readonly code: GuestMemoryErrorCode;
  readonly memory?: string | undefined;
  readonly operation?: string;
  readonly gpa?: number | undefined;
  readonly length?: number | undefined;
  readonly failedAt?: number | undefined;
  readonly done?: number;
}

/** Runs `fn`, which has to fail with a GuestMemoryError of these facts and a message in the style of the house. */
export function refused(fn: () => unknown, facts: Facts): GuestMemoryError {
  let thrown: unknown;
  try {
    fn();
  } catch (error) {
    thrown = error;
  }
  assert.notEqual(thrown, undefined, `nothing was thrown, wanted code ${facts.code}`);
  if (!isGuestMemoryError(thrown)) throw thrown;
  const { code, memory, operation, gpa, length, failedAt, done } = thrown;
  const said: Record<string, unknown> = { code, memory, operation, gpa, length, failedAt, done };
  for (const [name, wanted] of Object.entries(facts)) {
    assert.equal(said[name], wanted, `${name} of "${thrown.message}"`);
  }
  checkStyle(thrown);
  return thrown;
}

/** Sentence case, no final period, addresses in hexadecimal, the memory's name (DESIGN section 3, decision 6). */
function checkStyle(error: GuestMemoryError): void {
  const { message } = error;
  assert.match(message, /^Cannot [a-z]/, message);
  assert.doesNotMatch(message, /[.!\n]$|\n|undefined|\[object/, message);
  assert(CODES.includes(error.code), error.code);
  assert.equal(error.name, 'GuestMemoryError');
  if (error.gpa !== undefined && error.gpa >= 0 && Number.isInteger(error.gpa)) {
    assert(message.includes(`0x${error.gpa.toString(16)}`), `no address in "${message}"`);
  }
  if (error.failedAt !== undefined) {
    assert(message.includes(`0x${error.failedAt.toString(16)}`), `no failing address in "${message}"`);
  }
  if (error.memory !== undefined) assert(message.includes(`"${error.memory}"`), `no name in "${message}"`);
}
