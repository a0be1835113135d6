/** Builds ELF cores byte by byte, with every oddity and lie a test wants. Shares no code with the reader. */

/** A program header and, for PT_LOAD, its bytes. What is given here as a claim goes into the header unchecked. */
export interface ElfSegment {
  readonly paddr: bigint;
  readonly data?: Uint8Array;
  /** Default: as many as there are data. */
  readonly memsz?: bigint;
  /** Default: the physical address, as QEMU has it without paging. */
  readonly vaddr?: bigint;
  /** A claim; default: the truth. */
  readonly filesz?: bigint;
  /** A claim; default: the truth. */
  readonly offset?: bigint;
}

export interface ElfNoteInit {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

export interface ElfCoreInit {
  readonly segments: readonly ElfSegment[];
  readonly notes?: readonly ElfNoteInit[];
  /** Default 64. */
  readonly bits?: 32 | 64;
  /** `e_machine`; default 62, x86-64. */
  readonly machine?: number;
  /** `e_type`; default 4, ET_CORE. */
  readonly type?: number;
  /** EI_DATA; default 1. */
  readonly data?: number;
  /** `e_phnum` 0xffff and the count in section 0, whatever the count is. */
  readonly extendedCount?: boolean;
  /** A claim for `sh_info` of section 0. */
  readonly claimedCount?: number;
  readonly phentsize?: number;
  /** Bytes between the headers and the data; default 0, which makes offsets odd, as QEMU's are. */
  readonly gap?: number;
}

/** A file as QEMU 7.2 lays it out: header (`e_ehsize` 8), two sections, program headers, notes, segments. */
export function elfCore(init: ElfCoreInit): Uint8Array {
  const wide = init.bits !== 32;
  const size = wide ? { header: 64, section: 64, program: 56 } : { header: 52, section: 40, program: 32 };
  const notes = concat((init.notes ?? []).map(note));
  const shoff = size.header;
  const phoff = shoff + 2 * size.section;
  const count = init.segments.length + 1;
  const notesAt = phoff + count * size.program;
  let dataAt = notesAt + notes.length + (init.gap ?? 0);
  const writer = new Writer(
    dataAt + init.segments.reduce((sum, { data }) => sum + (data?.length ?? 0), 0),
    wide,
  );

  writer.bytes(0, Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, init.data ?? 1, 1));
  writer.fields(16, [
    [2, init.type ?? 4],
    [2, init.machine ?? 62],
    [4, 1],
    ['word', 0],
    ['word', phoff],
    ['word', shoff],
    [4, 0],
    [2, 8],
    [2, init.phentsize ?? size.program],
    [2, init.extendedCount === true ? 0xffff : count],
    [2, size.section],
    [2, 2],
    [2, 1],
  ]);
  // Section 0's sh_info follows name, type, flags, addr, offset, size and link.
  writer.fields(shoff + (wide ? 44 : 28), [[4, init.claimedCount ?? count]]);
  writer.program(phoff, {
    type: 4,
    offset: BigInt(notesAt),
    filesz: BigInt(notes.length),
    memsz: BigInt(notes.length),
  });
  writer.bytes(notesAt, notes);
  init.segments.forEach((segment, i) => {
    const data = segment.data ?? new Uint8Array(0);
    writer.program(phoff + (i + 1) * size.program, {
      type: 1,
      offset: segment.offset ?? BigInt(dataAt),
      vaddr: segment.vaddr ?? segment.paddr,
      paddr: segment.paddr,
      filesz: segment.filesz ?? BigInt(data.length),
      memsz: segment.memsz ?? BigInt(data.length),
    });
    writer.bytes(dataAt, data);
    dataAt += data.length;
  });
  return writer.file;
}

/** Registers of {@link qemuNote} that a test cares about. */
export interface NoteRegisters {
  readonly cr0?: bigint;
  readonly cr2?: bigint;
  readonly cr3?: bigint;
  readonly cr4?: bigint;
  readonly rip?: bigint;
  readonly rsp?: bigint;
  readonly rflags?: bigint;
  readonly csFlags?: number;
  readonly version?: number;
}

/** QEMU's own CPU note: 440 bytes. */
export function qemuNote(registers: NoteRegisters): ElfNoteInit {
  const description = new Uint8Array(440);
  const view = new DataView(description.buffer);
  view.setUint32(0, registers.version ?? 1, true);
  view.setUint32(4, 440, true);
  view.setBigUint64(0x38, registers.rsp ?? 0n, true);
  view.setBigUint64(0x88, registers.rip ?? 0n, true);
  view.setBigUint64(0x90, registers.rflags ?? 0n, true);
  view.setUint32(0x98 + 8, registers.csFlags ?? 0, true);
  view.setBigUint64(0x188, registers.cr0 ?? 0n, true);
  view.setBigUint64(0x198, registers.cr2 ?? 0n, true);
  view.setBigUint64(0x1a0, registers.cr3 ?? 0n, true);
  view.setBigUint64(0x1a8, registers.cr4 ?? 0n, true);
  return { name: 'QEMU', type: 0, description };
}

/** `length` bytes that differ from place to place and from seed to seed. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from(
    { length },
    (_, i) => (Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b)) >>> 13,
  );
}

function note({ name, type, description }: ElfNoteInit): Uint8Array {
  const namesz = name.length + 1;
  const bytes = new Uint8Array(12 + roundUp(namesz) + roundUp(description.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, namesz, true);
  view.setUint32(4, description.length, true);
  view.setUint32(8, type, true);
  bytes.set(new TextEncoder().encode(name), 12);
  bytes.set(description, 12 + roundUp(namesz));
  return bytes;
}

class Writer {
  readonly file: Uint8Array;
  readonly #view: DataView;
  readonly #wide: boolean;

  constructor(length: number, wide: boolean) {
    this.file = new Uint8Array(length);
    this.#view = new DataView(this.file.buffer);
    this.#wide = wide;
  }

  bytes(at: number, bytes: Uint8Array): void {
    this.file.set(bytes, at);
  }

  /** Values one after another; a `word` has the size of the class's addresses. */
  fields(at: number, fields: readonly (readonly [2 | 4 | 'word', number | bigint])[]): void {
    for (const [kind, value] of fields) {
      if (kind === 2) this.#view.setUint16(at, Number(value), true);
      else if (kind === 4 || !this.#wide) this.#view.setUint32(at, Number(value), true);
      else this.#view.setBigUint64(at, BigInt(value), true);
      at += kind === 2 ? 2 : kind === 4 || !this.#wide ? 4 : 8;
    }
  }

  program(
    at: number,
    header: { type: number; offset: bigint; vaddr?: bigint; paddr?: bigint; filesz: bigint; memsz: bigint },
  ): void {
    const { type, offset, vaddr = 0n, paddr = 0n, filesz, memsz } = header;
    const words = (['word', 'word', 'word', 'word', 'word'] as const).map(
      (kind, i) => [kind, [offset, vaddr, paddr, filesz, memsz][i] ?? 0n] as const,
    );
    this.fields(at, this.#wide ? [[4, type], [4, 0], ...words] : [[4, type], ...words]);
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function roundUp(length: number): number {
  return Math.ceil(length / 4) * 4;
}
