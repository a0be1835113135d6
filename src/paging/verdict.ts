import type { FaultReason } from './fault-reason.ts';

// What an entry turns out to be, as a small integer: a table, a leaf, a special leaf, or a fault with its reason.

export const TABLE = 0;
export const LEAF = 1;
export const SPECIAL_LEAF = 2;
/** Verdicts from here up are faults. */
const FIRST_FAULT = 3;

const REASONS: readonly FaultReason[] = [
  'not-present',
  'reserved',
  'misconfigured',
  'address-size',
  'misaligned',
  'access-flag',
  'rights',
  'protection-key',
  'shadow-stack',
];

/** The verdict for a fault. */
export function verdictOf(reason: FaultReason): number {
  return FIRST_FAULT + REASONS.indexOf(reason);
}

/** The reason of a verdict that is a fault. */
export function reasonOf(verdict: number): FaultReason {
  return REASONS[verdict - FIRST_FAULT] as FaultReason;
}

export const NOT_PRESENT: number = verdictOf('not-present');
export const ADDRESS_SIZE: number = verdictOf('address-size');
export const RIGHTS: number = verdictOf('rights');
export const ACCESS_FLAG: number = verdictOf('access-flag');
export const PROTECTION_KEY: number = verdictOf('protection-key');
export const SHADOW_STACK: number = verdictOf('shadow-stack');
