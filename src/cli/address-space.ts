import type { CpuState, MemoryImage } from '../image/index.ts';
import {
  FORMATS,
  type PagingFormat,
  type PagingMode,
  pagingModeFromRegisters,
  Translator,
} from '../paging/index.ts';
import { CliError } from './cli-error.ts';
import { hex } from './format/units.ts';
import { parseCount, parseRegister, parseU64 } from './parse.ts';

/** The options that choose whose eyes to look through, as typed. */
export interface AddressSpaceOptions {
  readonly cr3?: string;
  readonly cpu?: string;
  readonly paging?: string;
  readonly reg?: readonly string[];
}

/** A virtual address space of the target. */
export interface AddressSpace {
  /** The paging mode, such as `x86-4level`; `off` when linear addresses are physical. */
  readonly mode: PagingMode['name'];
  /** Left out when paging is off. */
  readonly translator: Translator | undefined;
  /** The table root register, as it was given. */
  readonly root: bigint;
  /** Which registers it came from, and why it is this mode: shown in every listing. */
  readonly origin: string;
}

/** PG, WP and PE: what CR0 holds in any guest that has tables to look at. */
const USUAL_CR0 = 0x8001_0001n;
const REGISTERS = ['cr0', 'cr3', 'cr4', 'efer'] as const;
type Register = (typeof REGISTERS)[number];

/** A register's value and who says so. */
interface Known {
  readonly value: bigint;
  readonly from: string;
}

/**
 * Chooses the address space: the registers of one CPU of the target, each overridden by what was typed.
 *
 * @throws {CliError} `usage` when the options contradict themselves or the target, or nothing names a table root.
 */
export function chooseAddressSpace(image: MemoryImage, options: AddressSpaceOptions): AddressSpace {
  const known = gather(image, options);
  const cr3 = known.registers.get('cr3');
  if (options.paging === 'off') {
    return {
      mode: 'off',
      translator: undefined,
      root: cr3?.value ?? 0n,
      origin: 'paging off, from --paging',
    };
  }
  if (cr3 === undefined) throw missingRoot(image);
  const mode = modeOf(known);
  const named = options.paging === undefined ? undefined : formatNamed(options.paging);
  const format = named ?? mode?.format;
  if (format === undefined && mode !== undefined) {
    return {
      mode: 'off',
      translator: undefined,
      root: cr3.value,
      origin: describe('off', known, mode.reason),
    };
  }
  const chosen = format ?? formatNamed('x86-4level');
  const controls = mode?.controls ?? {};
  const translator = new Translator({ memory: image.memory, format: chosen, root: cr3.value, controls });
  const assumed = 'assumed, as nothing says otherwise (--paging MODE does)';
  const reason = named === undefined ? (mode?.reason ?? assumed) : 'from --paging';
  return { mode: chosen.name, translator, root: cr3.value, origin: describe(chosen.name, known, reason) };
}

/** The paging mode of one CPU of a target; left out where its registers are not known. */
export function pagingOf(cpu: CpuState): PagingMode | undefined {
  const { cr0, cr3, cr4, efer, longMode } = cpu;
  if (cr0 === undefined || cr3 === undefined || cr4 === undefined) return undefined;
  return pagingModeFromRegisters({
    cr0,
    cr3,
    cr4,
    ...(efer === undefined ? {} : { efer }),
    ...(longMode === undefined ? {} : { longMode }),
  });
}

interface KnownRegisters {
  readonly registers: ReadonlyMap<Register, Known>;
  readonly longMode: boolean | undefined;
}

function gather(image: MemoryImage, options: AddressSpaceOptions): KnownRegisters {
  const registers = new Map<Register, Known>();
  const index = options.cpu === undefined ? undefined : parseCount(options.cpu, 'a CPU number');
  const cpu = index === undefined ? image.cpus[0] : image.cpus.find((candidate) => candidate.index === index);
  if (index !== undefined && cpu === undefined) {
    const have = image.cpus.map((candidate) => candidate.index).join(', ');
    throw new CliError('usage', `Cannot use CPU ${index}: the target has ${have === '' ? 'none' : have}`);
  }
  if (cpu !== undefined) {
    for (const name of REGISTERS) {
      const value = cpu[name];
      if (value !== undefined) registers.set(name, { value, from: `cpu ${cpu.index} (${cpu.source})` });
    }
  }
  for (const text of options.reg ?? []) {
    const [typed, value] = parseRegister(text);
    const name = REGISTERS.find((candidate) => candidate === typed);
    if (name === undefined) {
      throw new CliError('usage', `Cannot use register ${typed}: want one of ${REGISTERS.join(', ')}`);
    }
    registers.set(name, { value, from: '--reg' });
  }
  if (options.cr3 !== undefined) {
    registers.set('cr3', { value: parseU64(options.cr3, 'the value of cr3'), from: '--cr3' });
  }
  return { registers, longMode: cpu?.longMode };
}

/** What the registers say; undefined when there are too few of them to say anything. */
function modeOf({ registers, longMode }: KnownRegisters): PagingMode | undefined {
  const cr3 = registers.get('cr3')?.value;
  const cr4 = registers.get('cr4')?.value;
  const efer = registers.get('efer')?.value;
  if (cr3 === undefined || cr4 === undefined) return undefined;
  const cr0 = registers.get('cr0')?.value ?? USUAL_CR0;
  return pagingModeFromRegisters({
    cr0,
    cr3,
    cr4,
    ...(efer === undefined ? { longMode: longMode ?? true } : { efer }),
  });
}

function formatNamed(name: string): PagingFormat {
  const format = FORMATS.find((candidate) => candidate.name === name);
  if (format !== undefined) return format;
  const names = ['off', ...FORMATS.map((candidate) => candidate.name)].join(', ');
  throw new CliError('usage', `Cannot use paging mode ${JSON.stringify(name)}: want one of ${names}`);
}

function missingRoot(image: MemoryImage): CliError {
  if (image.machine !== undefined && !/^(?:x86_64|i386)$/.test(image.machine)) {
    return new CliError(
      'input',
      `Cannot translate addresses of ${image.machine}: only x86 tables are read so far`,
    );
  }
  return new CliError('usage', 'Cannot translate: the target has no CPU registers, so --cr3 is needed');
}

/** `x86-4level; cr3 0x104000, cr0, cr4 from cpu 0 (QEMU note v1); CR0.PG and CR4.PAE set ...`. */
function describe(mode: string, { registers }: KnownRegisters, reason: string): string {
  const byOrigin = new Map<string, string[]>();
  for (const [name, { value, from }] of registers) {
    const names = byOrigin.get(from) ?? [];
    if (name === 'cr3') names.unshift(`cr3 ${hex(value)}`);
    else names.push(name);
    byOrigin.set(from, names);
  }
  const origins = [...byOrigin].map(([from, names]) => `${names.join(', ')} from ${from}`);
  return [mode, ...origins, reason].join('; ');
}
