import { CliError } from './cli-error.ts';

const MAX_GPA = BigInt(Number.MAX_SAFE_INTEGER);
const MAX_U64 = 0xffff_ffff_ffff_ffffn;
const UNITS: Readonly<Record<string, bigint>> = {
  '': 1n,
  K: 1024n,
  M: 1024n ** 2n,
  G: 1024n ** 3n,
  T: 1024n ** 4n,
};

/** A non-negative whole number, decimal or `0x` hex; `what` names it in the refusal. */
function parseNatural(text: string, what: string): bigint {
  if (/^-/.test(text)) throw new CliError('usage', `Cannot use ${quote(text)} as ${what}: it is negative`);
  if (!/^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)) {
    const hint = /^[0-9a-fA-F]+$/.test(text) ? ` (hex is written 0x${text})` : '';
    throw new CliError('usage', `Cannot use ${quote(text)} as ${what}: want decimal or 0x hex${hint}`);
  }
  return BigInt(text);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}

/**
 * Reads a guest-physical address, 0 to 2^53-1.
 *
 * @throws {CliError} `usage` when the text is anything else.
 */
export function parseGpa(text: string): number {
  const value = parseNatural(text, 'a physical address');
  if (value > MAX_GPA) {
    throw new CliError('usage', `Cannot use ${quote(text)} as a physical address: it is above 2^53-1`);
  }
  return Number(value);
}

/**
 * Reads a 64-bit value such as a guest-virtual address or a register.
 *
 * @throws {CliError} `usage` when the text is anything else.
 */
export function parseU64(text: string, what = 'a virtual address'): bigint {
  const value = parseNatural(text, what);
  if (value > MAX_U64)
    throw new CliError('usage', `Cannot use ${quote(text)} as ${what}: it is above 2^64-1`);
  return value;
}

/**
 * Reads a length in bytes: a number, or a number with K, M, G or T (powers of 1024).
 *
 * @throws {CliError} `usage` when the text is anything else, or above 2^64-1.
 */
export function parseLength(text: string): bigint {
  const parts = /^(.*?)([KMGTkmgt]?)(?:iB)?$/.exec(text);
  const number = parts?.[1] ?? text;
  const unit = UNITS[(parts?.[2] ?? '').toUpperCase()] ?? 1n;
  const value = parseNatural(number, 'a length') * unit;
  if (value > MAX_U64)
    throw new CliError('usage', `Cannot use ${quote(text)} as a length: it is above 2^64-1`);
  return value;
}

/**
 * Reads a small count such as a CPU number, 0 to 65535.
 *
 * @throws {CliError} `usage` when the text is anything else.
 */
export function parseCount(text: string, what: string): number {
  const value = parseNatural(text, what);
  if (value > 0xffffn) throw new CliError('usage', `Cannot use ${quote(text)} as ${what}: it is above 65535`);
  return Number(value);
}

/** A range of physical addresses, of at least a byte. */
export interface GpaRange {
  readonly start: number;
  readonly length: number;
}

/**
 * Reads `GPA` (that byte), or `GPA+LENGTH`.
 *
 * @throws {CliError} `usage` when the text is anything else, or the range is empty or ends past 2^53.
 */
export function parseGpaRange(text: string): GpaRange {
  const [first = '', second, ...more] = text.split('+');
  if (more.length > 0) throw new CliError('usage', `Cannot use ${quote(text)} as a range: want GPA+LENGTH`);
  const start = parseGpa(first);
  const length = second === undefined ? 1n : parseLength(second);
  if (length === 0n) throw new CliError('usage', `Cannot use ${quote(text)} as a range: it is empty`);
  if (BigInt(start) + length > MAX_GPA + 1n)
    throw new CliError('usage', `Cannot use ${quote(text)} as a range: it ends past 2^53`);
  return { start, length: Number(length) };
}

/** A range of virtual addresses; `end` is exclusive and may be 2^64. */
export interface GvaRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Reads `START-END` (END exclusive), `START+LENGTH`, or `START-` for everything from there on.
 *
 * @throws {CliError} `usage` when the text is anything else, or the range is empty or ends past 2^64.
 */
export function parseGvaRange(text: string): GvaRange {
  const parts = /^([^-+]+)([-+])(.*)$/.exec(text);
  const [first, sign, second] = [parts?.[1], parts?.[2], parts?.[3]];
  if (first === undefined || second === undefined) {
    throw new CliError('usage', `Cannot use ${quote(text)} as a range: want START-END or START+LENGTH`);
  }
  const start = parseU64(first);
  const toEnd = sign === '-' && second === '';
  const end = toEnd ? MAX_U64 + 1n : sign === '+' ? start + parseLength(second) : parseU64(second);
  if (end > MAX_U64 + 1n) {
    throw new CliError('usage', `Cannot use ${quote(text)} as a range: it ends past 2^64`);
  }
  if (end <= start) throw new CliError('usage', `Cannot use ${quote(text)} as a range: it is empty`);
  return { start, end };
}

/**
 * Reads `NAME=VALUE` into a register's lower-case name and its value.
 *
 * @throws {CliError} `usage` when the text is anything else.
 */
export function parseRegister(text: string): readonly [name: string, value: bigint] {
  const parts = /^([A-Za-z][A-Za-z0-9_]*)=(.+)$/.exec(text);
  const [name, value] = [parts?.[1], parts?.[2]];
  if (name === undefined || value === undefined) {
    throw new CliError('usage', `Cannot use ${quote(text)} as a register: want NAME=VALUE such as cr4=0x20`);
  }
  return [name.toLowerCase(), parseU64(value, `the value of ${name}`)];
}
