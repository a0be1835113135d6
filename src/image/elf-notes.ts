import type { ByteSource } from './byte-source.ts';
import { readUpTo } from './byte-source.ts';
import { type ProgramHeader, viewOf } from './elf-headers.ts';
import { noteHeader } from './elf-layout.ts';

/** A note of a PT_NOTE segment. */
export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

/**
 * Bytes of notes we are willing to read: 288 processors of QEMU take 0.3 MB. What is beyond is named in a warning.
 */
const MAX_NOTE_BYTES = 16 << 20;

/**
 * Reads the notes of PT_NOTE segments. Notes are worth having but not vital: what is damaged or missing costs the
 * notes after it and makes a warning, never the dump.
 */
export function readElfNotes(
  source: ByteSource,
  segments: readonly ProgramHeader[],
): { notes: ElfNote[]; warnings: string[] } {
  const notes: ElfNote[] = [];
  const warnings: string[] = [];
  let budget = MAX_NOTE_BYTES;
  for (const segment of segments) {
    const bytes = readSegment(source, segment, budget);
    budget -= bytes.length;
    const complete = parseNotes(bytes, notes);
    if (bytes.length < Number(segment.filesz)) {
      const why =
        budget === 0 ? `only the first ${MAX_NOTE_BYTES} bytes are read` : 'the file ends within them';
      warnings.push(`Not all notes were read: ${why}`);
    } else if (!complete) {
      warnings.push('Not all notes were read: one claims to be longer than its segment');
    }
  }
  return { notes, warnings };
}

function readSegment(source: ByteSource, segment: ProgramHeader, budget: number): Uint8Array {
  // Both are clamped by what exists before they become an allocation.
  const offset = Number(segment.offset);
  const available = Math.max(0, source.size - offset);
  const bytes = new Uint8Array(Math.min(Number(segment.filesz), available, budget));
  return bytes.subarray(0, readUpTo(source, offset, bytes));
}

/** Appends the notes in `bytes`; answers whether they filled it without a rest that is no note. */
function parseNotes(bytes: Uint8Array, notes: ElfNote[]): boolean {
  const view = viewOf(bytes);
  let at = 0;
  while (at + noteHeader.size <= bytes.length) {
    const { namesz, descsz, type } = noteHeader.decode(view, at);
    const nameAt = at + noteHeader.size;
    const descriptionAt = nameAt + padded(namesz);
    if (descriptionAt + descsz > bytes.length) return false;
    notes.push({
      name: text(bytes.subarray(nameAt, nameAt + namesz)),
      type,
      description: bytes.subarray(descriptionAt, descriptionAt + descsz),
    });
    at = descriptionAt + padded(descsz);
  }
  return at >= bytes.length;
}

/** Names and descriptions are padded to 4 bytes, also in 64-bit files (Linux and QEMU; the gABI would say 8). */
function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** The name up to its terminating zero; bytes outside ASCII cannot match any name we know. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, 64)));
}
