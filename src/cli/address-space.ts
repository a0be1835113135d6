import type { CpuState, MemoryImage } from '../image/index.ts';
import {
  type AArch64Mode,
  FORMATS,
  formatNamed,
  type OneStageTranslation,
  type PageAccess,
  type PagingControls,
  type PagingFormat,
  type PagingMode,
  pagingModeFromRegisters,
  Translator,
  X86_4LEVEL,
} from '../paging/index.ts';
import { aarch64Space, aarch64Stage2Space } from './aarch64-space.ts';
import { CliError } from './cli-error.ts';
import { gatherRegisters, type KnownRegisters, type RegisterOptions } from './registers.ts';
import { eptSpace, riscvGuestSpace, riscvSpace } from './root-space.ts';

/** The options that choose whose eyes to look through, as typed. */
export interface AddressSpaceOptions extends RegisterOptions {
  readonly paging?: string;
}

/** A virtual address space of the target. */
export interface AddressSpace {
  /** The paging mode, such as `x86-4level`; `off` when linear addresses are physical. */
  readonly mode: string;
  /** In the order of addresses: one, or on AArch64 one for each half that is in use. None when paging is off. */
  readonly translators: readonly Translator[];
  /** AArch64's lower and upper half: whose bits 63:56 are the program's (TBI), and whether user code is kept out (E0PD). */
  readonly halves?: readonly [lower: AArch64Mode, upper: AArch64Mode];
  /** The table root register, as it was given. */
  readonly root: bigint;
  /** Which registers it came from, and why it is this mode: shown in every listing. */
  readonly origin: string;
}

/** PG, WP and PE: what CR0 holds in any guest that has tables to look at. */
const USUAL_CR0 = 0x8001_0001n;

/** An address without the tag that a program may have put into its top byte. */
export function withoutTag(space: AddressSpace, gva: bigint, { kind }: PageAccess): bigint {
  const half = halfOf(space, gva);
  if (half?.topByteIgnored !== true || (half.tagsOfDataOnly && kind === 'execute')) return gva;
  return isUpper(gva) ? gva | (0xffn << 56n) : gva & ((1n << 56n) - 1n);
}

/** Translates an address for an access, which E0PD may refuse before any table is read. */
export function translateIn(
  space: AddressSpace,
  translator: Translator,
  gva: bigint,
  access: PageAccess,
): OneStageTranslation {
  if (access.user === true && halfOf(space, gva)?.refusesUser === true)
    return { kind: 'not-canonical', gva, errorCode: 0x04, levels: [] };
  return translator.translate(gva, asPerson(translator, access));
}

function halfOf({ halves }: AddressSpace, gva: bigint): AArch64Mode | undefined {
  return halves?.[isUpper(gva) ? 1 : 0];
}

/** AArch64: bit 55 chooses the half. */
function isUpper(gva: bigint): boolean {
  return ((gva >> 55n) & 1n) === 1n;
}

/**
 * An access as a person makes it: SMAP guards a kernel against its own mistakes, and EFLAGS.AC lifts it. Only x86 has the two.
 */
export function asPerson({ format }: Translator, access: PageAccess): PageAccess {
  return format.architecture.name === 'x86' ? { ...access, ac: true } : access;
}

/** The translator for an address; `undefined` where the space has none for it. */
export function translatorFor(space: AddressSpace, gva: bigint): Translator | undefined {
  const { translators } = space;
  if (translators.length < 2 && translators[0]?.format.upperBits === 'signed') return translators[0];
  const ones = translators.find(({ format }) => format.upperBits === 'ones');
  const zeros = translators.find(({ format }) => format.upperBits !== 'ones');
  return isUpper(gva) ? (ones ?? zeros) : (zeros ?? ones);
}

/**
 * Chooses the address space: the registers of one CPU of the target, each overridden by what was typed.
 *
 * @throws {CliError} `usage` when the options contradict themselves or the target, or nothing names a table root.
 */
export function chooseAddressSpace(image: MemoryImage, options: AddressSpaceOptions): AddressSpace {
  const known = gatherRegisters(image, options);
  const named = options.paging === undefined ? undefined : modeNamed(options.paging);
  const { memory } = image;
  if (named === 'off') {
    const root = known.value('cr3') ?? 0n;
    return { mode: 'off', translators: [], root, origin: 'paging off, from --paging' };
  }
  switch (known.family) {
    case 'aarch64':
      return aarch64Space(memory, known, named);
    case 'aarch64-stage2':
      return aarch64Stage2Space(memory, known, named);
    case 'riscv':
      return riscvSpace(memory, known, named);
    case 'riscv-gstage':
      return riscvGuestSpace(memory, known, named);
    case 'ept':
      return eptSpace(memory, known, named);
    case 'x86':
      return x86Space(image, known, named);
  }
}

function x86Space(image: MemoryImage, known: KnownRegisters, named: PagingFormat | undefined): AddressSpace {
  const root = known.value('cr3');
  if (root === undefined) throw missingRoot(image);
  const mode = modeOf(known);
  const format = named ?? mode?.format;
  if (format === undefined && mode !== undefined)
    return { mode: 'off', translators: [], root, origin: known.describe('off', 'cr3', mode.reason) };
  const chosen = format ?? X86_4LEVEL;
  // Tables of another family under a root that was typed: what the registers of x86 say does not concern them.
  const { name } = chosen.architecture;
  // A CR3 that is in use was good to whoever loaded it: QEMU (TCG) marks PAE's PDPTEs, which a processor would refuse.
  const controls: PagingControls =
    name === 'x86' ? { ...mode?.controls, pdpteAccessed: true } : name === 'riscv' ? { sum: true } : {};
  const translator = new Translator({ memory: image.memory, format: chosen, root, controls });
  const assumed = 'assumed, as nothing says otherwise (--paging MODE does)';
  const reason = named === undefined ? (mode?.reason ?? assumed) : 'from --paging';
  const origin = known.describe(chosen.name, 'cr3', reason);
  return { mode: chosen.name, translators: [translator], root, origin };
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

/** What the registers say; undefined when there are too few of them to say anything. */
function modeOf(known: KnownRegisters): PagingMode | undefined {
  const cr3 = known.value('cr3');
  const cr4 = known.value('cr4');
  const efer = known.value('efer');
  if (cr3 === undefined || cr4 === undefined) return undefined;
  const cr0 = known.value('cr0') ?? USUAL_CR0;
  return pagingModeFromRegisters({
    cr0,
    cr3,
    cr4,
    ...(efer === undefined ? { longMode: known.longMode ?? true } : { efer }),
  });
}

function modeNamed(name: string): PagingFormat | 'off' {
  const format = name === 'off' ? name : formatNamed(name);
  if (format !== undefined) return format;
  const names = ['off', ...FORMATS.map((candidate) => candidate.name), 'ept-4level-mbec'].join(', ');
  throw new CliError(
    'usage',
    `Cannot use paging mode ${JSON.stringify(name)}: want one of ${names}, or AArch64's such as aarch64-4k-48bit-upper, aarch64-stage2-4k-40bit-level1`,
  );
}

function missingRoot(image: MemoryImage): CliError {
  const wanted: Readonly<Record<string, string>> = {
    aarch64: '--reg tcr=, ttbr0= and ttbr1= are',
    riscv: '--reg satp= is',
  };
  const other = image.machine === undefined ? undefined : wanted[image.machine];
  if (other !== undefined)
    return new CliError(
      'usage',
      `Cannot translate: the target does not tell its ${image.machine} registers, so ${other} needed`,
    );
  if (image.machine !== undefined && !/^(?:x86_64|i386)$/.test(image.machine)) {
    return new CliError(
      'input',
      `Cannot translate addresses of ${image.machine}: its tables are not read so far`,
    );
  }
  return new CliError('usage', 'Cannot translate: the target has no CPU registers, so --cr3 is needed');
}
