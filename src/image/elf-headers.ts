import { hex } from '../core/index.ts';
import { type ByteSource, readExactly } from './byte-source.ts';
import {
  ELF_CLASSES,
  ELF_MAGIC,
  ELFDATA2LSB,
  type ElfClass,
  ET_CORE,
  elfIdent,
  PN_XNUM,
  type ProgramHeaderFields,
} from './elf-layout.ts';
import { ImageError, malformed } from './image-error.ts';

export const ELF_CORE = 'elf-core';

/**
 * Program headers we are willing to read. Dumps of paged memory have tens of thousands; a file that claims more than
 * this is damaged or means harm.
 */
const MAX_PROGRAM_HEADERS = 1 << 20;
/** Program headers read at once. */
const CHUNK = 4096;

/** One program header with its place in the file; addresses stay 64-bit until somebody needs them as gpa. */
export interface ProgramHeader {
  readonly type: number;
  readonly offset: bigint;
  readonly vaddr: bigint;
  readonly paddr: bigint;
  readonly filesz: bigint;
  readonly memsz: bigint;
  /** Where in the file the header itself lies, for messages. */
  readonly position: number;
}

/** The headers of an ELF core. */
export interface ElfHeaders {
  readonly machine: number;
  readonly programHeaders: readonly ProgramHeader[];
}

/**
 * Reads the ELF header and the program headers of a core file, following the offsets and sizes it states where they
 * lie within the file.
 *
 * @throws ImageError `malformed`, `truncated` (the tables are not all there), `unsupported` (ELF, but another kind)
 */
export function readElfHeaders(source: ByteSource): ElfHeaders {
  const identBytes = new Uint8Array(elfIdent.size);
  readExactly(source, 0, identBytes, 'the ELF header');
  const ident = elfIdent.decode(viewOf(identBytes), 0);
  if (ELF_MAGIC.some((byte, i) => ident.magic[i] !== byte))
    throw malformed('ELF', source.name, 0, 'no ELF magic');
  const elfClass = ELF_CLASSES.get(ident.class);
  if (elfClass === undefined) {
    throw malformed('ELF', source.name, 4, `current class ${ident.class}, wanted 1 or 2`);
  }
  if (ident.data !== ELFDATA2LSB) throw unsupported(source, 'it is big-endian');
  if (ident.type !== ET_CORE) throw unsupported(source, `its e_type is ${ident.type}, wanted 4 (ET_CORE)`);
  return { machine: ident.machine, programHeaders: readProgramHeaders(source, elfClass) };
}

function readProgramHeaders(source: ByteSource, elfClass: ElfClass): ProgramHeader[] {
  const headerBytes = new Uint8Array(elfClass.header.size);
  readExactly(source, 0, headerBytes, 'the ELF header');
  const header = elfClass.header.decode(viewOf(headerBytes), 0);
  const count = header.phnum === PN_XNUM ? trueCount(source, elfClass, header) : header.phnum;
  const { size } = elfClass.programHeader;
  if (count === 0)
    throw unsupported(source, 'it has no program headers (a Xen dump keeps its pages in sections)');
  if (count > MAX_PROGRAM_HEADERS) {
    throw malformed(
      'ELF core',
      source.name,
      0,
      `${count} program headers, wanted at most ${MAX_PROGRAM_HEADERS}`,
    );
  }
  if (header.phentsize !== size) {
    throw malformed(
      'ELF core',
      source.name,
      0,
      `program headers of ${header.phentsize} bytes, wanted ${size}`,
    );
  }
  const table = inFile(source, header.phoff, count * size, 'the program headers');
  const headers: ProgramHeader[] = [];
  const bytes = new Uint8Array(Math.min(count, CHUNK) * size);
  for (let done = 0; done < count; done += CHUNK) {
    const chunk = bytes.subarray(0, Math.min(CHUNK, count - done) * size);
    readExactly(source, table + done * size, chunk, 'the program headers');
    const view = viewOf(chunk);
    for (let at = 0; at < chunk.length; at += size) {
      headers.push(widen(elfClass.programHeader.decode(view, at), table + done * size + at));
    }
  }
  return headers;
}

function trueCount(
  source: ByteSource,
  elfClass: ElfClass,
  header: { shoff: number | bigint; shnum: number },
): number {
  if (header.shnum === 0) {
    throw malformed(
      'ELF core',
      source.name,
      0,
      'e_phnum is 0xffff, but there is no section 0 to hold the count',
    );
  }
  const bytes = new Uint8Array(elfClass.section.size);
  readExactly(source, inFile(source, header.shoff, bytes.length, 'section 0'), bytes, 'section 0');
  return elfClass.section.decode(viewOf(bytes), 0).info;
}

/** A table's offset as a number, once it is known to lie in the file: nothing is allocated for a mere claim. */
function inFile(source: ByteSource, offset: number | bigint, length: number, what: string): number {
  if (BigInt(offset) + BigInt(length) <= BigInt(source.size)) return Number(offset);
  throw new ImageError(
    'truncated',
    `Cannot read ${what} of ${source.name}: they take ${length} bytes at ${hex(offset)}, ` +
      `and the file ends at ${hex(source.size)}`,
    { source: source.name, format: ELF_CORE, position: source.size },
  );
}

function widen(fields: ProgramHeaderFields, position: number): ProgramHeader {
  return {
    type: fields.type,
    offset: BigInt(fields.offset),
    vaddr: BigInt(fields.vaddr),
    paddr: BigInt(fields.paddr),
    filesz: BigInt(fields.filesz),
    memsz: BigInt(fields.memsz),
    position,
  };
}

function unsupported(source: ByteSource, why: string): ImageError {
  return new ImageError(
    'unsupported',
    `Cannot read ${source.name} as an ELF core: ${why}, which is not read yet`,
    {
      source: source.name,
      format: ELF_CORE,
    },
  );
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
