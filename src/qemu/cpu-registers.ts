import type { CpuState } from '../image/index.ts';

/** EFER.LMA, long mode active (AMD APM volume 2, 3.1.7). */
const EFER_LMA = 1n << 10n;

/** Names in the listing of a processor in long mode, and in any other. */
const REGISTERS = [
  ['cr0', /\bCR0=([0-9a-f]+)/],
  ['cr2', /\bCR2=([0-9a-f]+)/],
  ['cr3', /\bCR3=([0-9a-f]+)/],
  ['cr4', /\bCR4=([0-9a-f]+)/],
  ['efer', /\bEFER=([0-9a-f]+)/],
  ['rip', /\b[RE]IP=([0-9a-f]+)/],
  ['rsp', /\b[RE]SP=([0-9a-f]+)/],
  ['rflags', /\b[RE]FL=([0-9a-f]+)/],
] as const;

/**
 * The processors of the listing of `info registers -a`: x86's control registers where it has them, else only which
 * processors there are.
 */
export function parseRegisters(listing: string): CpuState[] {
  const cpus: CpuState[] = [];
  const parts = listing.split(/^CPU#(\d+)\r?$/m);
  for (let i = 1; i + 1 < parts.length; i += 2) cpus.push(parseCpu(Number(parts[i]), parts[i + 1] ?? ''));
  return cpus;
}

function parseCpu(index: number, listing: string): CpuState {
  const found: Partial<Record<(typeof REGISTERS)[number][0], bigint>> = {};
  for (const [name, pattern] of REGISTERS) {
    const digits = pattern.exec(listing)?.[1];
    // A register has 64 bits; what is longer is none.
    if (digits !== undefined && digits.length <= 16) found[name] = BigInt(`0x${digits}`);
  }
  const longMode = found.efer === undefined ? {} : { longMode: (found.efer & EFER_LMA) !== 0n };
  return { index, source: "QEMU's info registers", ...found, ...longMode };
}
