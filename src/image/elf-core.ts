import { ADDRESS_SPACE_SIZE, hex } from '../core/index.ts';
import type { ByteSource } from './byte-source.ts';
import { cpusOf } from './elf-cpus.ts';
import { ELF_CORE, type ProgramHeader, readElfHeaders } from './elf-headers.ts';
import { MACHINES, PT_LOAD, PT_NOTE } from './elf-layout.ts';
import { readElfNotes } from './elf-notes.ts';
import { type Award, firstWins } from './first-wins.ts';
import { ImageError, malformed } from './image-error.ts';
import { ImageOfSource } from './image-of-source.ts';
import type { ImageRange, MemoryImage } from './memory-image.ts';

/** `p_paddr` of a segment that has no physical address (Linux's /proc/kcore). */
const NO_PADDR = 0xffff_ffff_ffff_ffffn;

/** A PT_LOAD segment by guest-physical address. */
interface Segment {
  readonly start: number;
  readonly end: number;
  /** Offset in the file; beyond its end where the header says so. */
  readonly offset: number;
  readonly filesz: number;
}

/**
 * Opens an ELF core of a machine: QEMU's `dump-guest-memory` (and so virsh, Proxmox, KubeVirt), cloud-hypervisor's
 * `coredump`, Linux's vmcore.
 *
 * @throws ImageError `malformed`, `truncated` (the headers are not all there), `unsupported` (ELF of another kind)
 */
export function openElfCore(source: ByteSource, reason: string): MemoryImage {
  const { machine, programHeaders } = readElfHeaders(source);
  const loads = programHeaders.filter((header) => header.type === PT_LOAD && header.memsz > 0n);
  const { notes, warnings } = readElfNotes(
    source,
    programHeaders.filter((header) => header.type === PT_NOTE),
  );
  refuseProcessCore(source, loads);
  const { cpus, warnings: cpuWarnings } = cpusOf(notes, machine);
  warnings.push(...cpuWarnings);

  const physical = loads.filter((header) => header.paddr !== NO_PADDR);
  if (physical.length < loads.length) {
    warnings.push(`${loads.length - physical.length} segments without a physical address are left out`);
  }
  const segments = physical.map((header) => toSegment(source, header));
  const { awards, losers } = firstWins(segments);
  if (losers > 0) {
    warnings.push(
      `${losers} of ${segments.length} segments overlap earlier ones: the first that has an address wins`,
    );
  }
  if (notes.some((note) => note.name === 'QEMU') && loads.some((header) => header.vaddr !== header.paddr)) {
    warnings.push(
      'It was taken with paging on: memory that the page tables did not map at that time is missing',
    );
  }
  const ranges = rangesOf(awards, source.size);
  warnings.push(...sizeWarnings(ranges));
  return new ImageOfSource({
    format: ELF_CORE,
    reason,
    machine: MACHINES.get(machine) ?? `ELF machine ${machine}`,
    source,
    ranges,
    cpus,
    warnings,
  });
}

/** A process's core has virtual addresses only: every `p_paddr` is 0. */
function refuseProcessCore(source: ByteSource, loads: readonly ProgramHeader[]): void {
  if (loads.every((header) => header.paddr === 0n) && loads.some((header) => header.vaddr !== 0n)) {
    throw new ImageError(
      'unsupported',
      `Cannot read ${source.name} as memory of a machine: no segment has a physical address, it is the core of a process`,
      { source: source.name, format: ELF_CORE },
    );
  }
}

function toSegment(source: ByteSource, header: ProgramHeader): Segment {
  const bad = (what: string): ImageError => malformed('ELF core', source.name, header.position, what);
  if (header.filesz > header.memsz) {
    throw bad(`p_filesz ${hex(header.filesz)} is greater than p_memsz ${hex(header.memsz)}`);
  }
  if (header.paddr + header.memsz > BigInt(ADDRESS_SPACE_SIZE)) {
    throw bad(
      `the segment at ${hex(header.paddr)} has ${hex(header.memsz)} bytes, wanted it to end within 2^53`,
    );
  }
  // An offset that no file can have is the same as one past the end: no byte of the segment is there.
  const offset = header.offset > BigInt(source.size) ? source.size : Number(header.offset);
  const start = Number(header.paddr);
  return { start, end: start + Number(header.memsz), offset, filesz: Number(header.filesz) };
}

/** Cuts each stretch into what the file has, what it should have, and what is zero by the header's word. */
function rangesOf(awards: readonly Award<Segment>[], fileSize: number): ImageRange[] {
  const ranges: ImageRange[] = [];
  for (const { start, end, claim } of awards) {
    const present = claim.start + Math.min(claim.filesz, fileSize - claim.offset);
    const stored = claim.start + claim.filesz;
    const whole = present === stored;
    add(ranges, start, Math.min(end, present), 'ram', claim.offset + (start - claim.start));
    // Of a segment that lost its end, the zeros after it are not believed either.
    add(ranges, Math.max(start, present), end, whole ? 'zero' : 'truncated');
  }
  return ranges;
}

/** Appends a range, or lengthens the last one where it goes on seamlessly. */
function add(
  ranges: ImageRange[],
  start: number,
  end: number,
  kind: ImageRange['kind'],
  offset?: number,
): void {
  if (start >= end) return;
  const last = ranges.at(-1);
  if (last?.end === start && last.kind === kind && endOffset(last) === offset) {
    ranges[ranges.length - 1] = { ...last, end };
    return;
  }
  ranges.push(offset === undefined ? { start, end, kind } : { start, end, kind, offset });
}

function endOffset(range: ImageRange): number | undefined {
  return range.offset === undefined ? undefined : range.offset + (range.end - range.start);
}

function sizeWarnings(ranges: readonly ImageRange[]): string[] {
  const total = (kind: ImageRange['kind']): number =>
    ranges.reduce((sum, range) => (range.kind === kind ? sum + (range.end - range.start) : sum), 0);
  const warnings: string[] = [];
  const truncated = total('truncated');
  if (truncated > 0)
    warnings.push(`The file is cut off: ${truncated} bytes of the memory it describes are missing`);
  const zero = total('zero');
  if (zero > 0)
    warnings.push(`${zero} bytes are not stored and read as zero, as ELF has it (p_memsz above p_filesz)`);
  return warnings;
}
