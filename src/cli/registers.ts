import type { MemoryImage } from '../image/index.ts';
import { CliError } from './cli-error.ts';
import { hex } from './format/units.ts';
import { parseCount, parseRegister, parseU64 } from './parse.ts';

/** The options that say what registers hold, as typed. */
export interface RegisterOptions {
  readonly cr3?: string;
  readonly cpu?: string;
  readonly reg?: readonly string[];
}

/** Registers that go together: which tables they are about. */
const FAMILIES = {
  x86: ['cr0', 'cr3', 'cr4', 'efer'],
  ept: ['eptp'],
  aarch64: ['ttbr0', 'ttbr1', 'tcr', 'sctlr'],
  'aarch64-stage2': ['vttbr', 'vtcr'],
  riscv: ['satp', 'sstatus'],
  'riscv-gstage': ['hgatp'],
} as const;

/** Whose tables registers are about. */
export type Family = keyof typeof FAMILIES;
export type Register = (typeof FAMILIES)[Family][number];

const NAMES: readonly Register[] = Object.values(FAMILIES).flat();

/** A register's value and who says so. */
interface Known {
  readonly value: bigint;
  readonly from: string;
}

/** The registers of one CPU of the target, each overridden by what was typed. */
export class KnownRegisters {
  readonly family: Family;
  readonly longMode: boolean | undefined;
  readonly #registers: ReadonlyMap<Register, Known>;

  constructor(family: Family, registers: ReadonlyMap<Register, Known>, longMode: boolean | undefined) {
    this.family = family;
    this.#registers = registers;
    this.longMode = longMode;
  }

  value(name: Register): bigint | undefined {
    return this.#registers.get(name)?.value;
  }

  /** The value, or an error that says which option is missing. */
  wanted(name: Register): bigint {
    const value = this.value(name);
    if (value === undefined)
      throw new CliError('usage', `Cannot translate: --reg ${name}=VALUE is needed too`);
    return value;
  }

  /** `x86-4level; cr3 0x104000, cr0, cr4 from cpu 0 (QEMU note v1); CR0.PG and CR4.PAE set ...`. */
  describe(mode: string, root: Register, reason: string): string {
    const byOrigin = new Map<string, string[]>();
    for (const [name, { value, from }] of this.#registers) {
      const names = byOrigin.get(from) ?? [];
      if (name === root) names.unshift(`${name} ${hex(value)}`);
      else names.push(name);
      byOrigin.set(from, names);
    }
    const origins = [...byOrigin].map(([from, names]) => `${names.join(', ')} from ${from}`);
    return [mode, ...origins, reason].join('; ');
  }
}

/** @throws {CliError} `usage` where the options contradict themselves or the target. */
export function gatherRegisters(image: MemoryImage, options: RegisterOptions): KnownRegisters {
  const typed = new Map<Register, Known>();
  for (const text of options.reg ?? []) {
    const [given, value] = parseRegister(text);
    // As the architecture spells them: TTBR0_EL1, VTCR_EL2.
    const name = NAMES.find((candidate) => candidate === given.replace(/_el[12]$/, ''));
    if (name === undefined)
      throw new CliError('usage', `Cannot use register ${given}: want one of ${NAMES.join(', ')}`);
    typed.set(name, { value, from: '--reg' });
  }
  if (options.cr3 !== undefined)
    typed.set('cr3', { value: parseU64(options.cr3, 'the value of cr3'), from: '--cr3' });
  const families = (Object.keys(FAMILIES) as Family[]).filter((family) =>
    FAMILIES[family].some((name) => typed.has(name)),
  );
  if (families.length > 1) {
    const names = [...typed.keys()].join(', ');
    throw new CliError('usage', `Cannot use ${names} together: they are about different tables`);
  }
  const family = families[0] ?? 'x86';

  const index = options.cpu === undefined ? undefined : parseCount(options.cpu, 'a CPU number');
  const cpu = index === undefined ? image.cpus[0] : image.cpus.find((candidate) => candidate.index === index);
  if (index !== undefined && cpu === undefined) {
    const have = image.cpus.map((candidate) => candidate.index).join(', ');
    throw new CliError('usage', `Cannot use CPU ${index}: the target has ${have === '' ? 'none' : have}`);
  }
  const registers = new Map<Register, Known>();
  if (cpu !== undefined && family === 'x86') {
    for (const name of FAMILIES.x86) {
      const value = cpu[name];
      if (value !== undefined) registers.set(name, { value, from: `cpu ${cpu.index} (${cpu.source})` });
    }
  }
  for (const [name, known] of typed) registers.set(name, known);
  return new KnownRegisters(family, registers, cpu?.longMode);
}
