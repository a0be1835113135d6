import { isGuestMemoryError } from '../core/index.ts';
import { type ImageRange, isImageError, type MemoryImage } from '../image/index.ts';
import type { OneStageTranslation, Translator } from '../paging/index.ts';
import { ABSENCE } from './absence.ts';
import { type AddressSpace, asPerson, translatorFor } from './address-space.ts';
import type { DumpPiece } from './format/hex-dump.ts';
import { hex } from './format/units.ts';

const CHUNK = 64 * 1024;
const PAGE = 4096;
const NOT_RAM = 'not RAM';
/** One past the last address. */
const TOP = 1n << 64n;

/**
 * What is at `[start, end)` of the physical space, in address order: bytes where the target has them, otherwise why not.
 * Bytes are lent until the next piece is asked for, so a range of any length takes one small buffer.
 */
export function* physicalPieces(image: MemoryImage, start: number, end: number): Generator<DumpPiece> {
  const buffer = new Uint8Array(Math.min(CHUNK, Math.max(0, end - start)));
  let at = start;
  for (const range of image.ranges) {
    if (range.end <= at) continue;
    if (range.start >= end) break;
    if (range.start > at) yield absent(at, range.start, NOT_RAM);
    const from = Math.max(at, range.start);
    at = Math.min(end, range.end);
    const reason = ABSENCE[range.kind];
    if (reason !== undefined) yield absent(from, at, absenceWord(range.kind));
    else yield* present(image, from, at, buffer);
  }
  if (at < end) yield absent(at, end, NOT_RAM);
}

/** The short word for the margin of a hex dump. */
function absenceWord(kind: ImageRange['kind']): string {
  const text = ABSENCE[kind] ?? kind;
  return text.split(':')[0] ?? text;
}

function* present(image: MemoryImage, start: number, end: number, buffer: Uint8Array): Generator<DumpPiece> {
  let at = start;
  while (at < end) {
    const length = Math.min(buffer.length, end - at);
    const failure = tryRead(image, at, buffer, length);
    if (failure === undefined) {
      yield { start: BigInt(at), end: BigInt(at + length), bytes: buffer.subarray(0, length) };
      at += length;
      continue;
    }
    // Something in this chunk cannot be had after all: say so page by page, not for all of it.
    const chunkEnd = at + length;
    while (at < chunkEnd) {
      const pageEnd = Math.min(chunkEnd, at + PAGE - (at % PAGE));
      const why = tryRead(image, at, buffer, pageEnd - at);
      if (why === undefined) {
        yield { start: BigInt(at), end: BigInt(pageEnd), bytes: buffer.subarray(0, pageEnd - at) };
      } else yield absent(at, pageEnd, why);
      at = pageEnd;
    }
  }
}

/** Reads, or answers why it cannot be read. */
function tryRead(image: MemoryImage, gpa: number, buffer: Uint8Array, length: number): string | undefined {
  try {
    image.memory.readAt(gpa, buffer, 0, length);
    return undefined;
  } catch (error) {
    if (!isGuestMemoryError(error)) throw error;
    if (isImageError(error.cause)) return error.cause.code.replace('-', ' ');
    return error.code === 'unmapped' ? NOT_RAM : error.code;
  }
}

function absent(start: number, end: number, reason: string): DumpPiece {
  return { start: BigInt(start), end: BigInt(end), reason };
}

/**
 * What is at `[start, end)` of a virtual space, in address order, page by page. Where a table entry
 * is missing, all that it would have covered is one piece.
 */
export function* virtualPieces(
  image: MemoryImage,
  space: AddressSpace,
  start: bigint,
  end: bigint,
): Generator<DumpPiece> {
  let at = start;
  while (at < end) {
    const translator = translatorFor(space, at);
    if (translator === undefined) return;
    const translation = translator.translate(at, asPerson(translator, { kind: 'read' }));
    const spanEnd =
      translation.kind === 'mapped'
        ? pageEnd(at, translation.pageSize)
        : holeEnd(at, translation, translator, space);
    const next = spanEnd < end ? spanEnd : end;
    if (translation.kind === 'mapped') {
      const shift = at - BigInt(translation.gpa);
      for (const piece of physicalPieces(image, translation.gpa, translation.gpa + Number(next - at))) {
        yield { ...piece, start: piece.start + shift, end: piece.end + shift };
      }
    } else yield { start: at, end: next, reason: whyNotMapped(translation) };
    at = next;
  }
}

function pageEnd(gva: bigint, pageSize: number): bigint {
  const size = BigInt(pageSize);
  return gva - (gva % size) + size;
}

/** The first address that the same missing entry does not speak for. */
function holeEnd(
  gva: bigint,
  translation: OneStageTranslation,
  translator: Translator,
  space: AddressSpace,
): bigint {
  if (translation.kind === 'not-canonical') {
    const starts = space.translators.flatMap(({ format: { addressBits, upperBits } }) =>
      upperBits === 'zeros'
        ? []
        : [TOP - (1n << BigInt(upperBits === 'ones' ? addressBits : addressBits - 1))],
    );
    return starts.find((start) => start > gva) ?? TOP;
  }
  if (translation.kind === 'mapped') return pageEnd(gva, translation.pageSize);
  const level = translator.format.levels.find((candidate) => candidate.level === translation.level);
  return pageEnd(gva, 2 ** (level?.indexBit ?? 12));
}

function whyNotMapped(translation: Exclude<OneStageTranslation, { kind: 'mapped' }>): string {
  switch (translation.kind) {
    case 'not-canonical':
      return 'not canonical';
    case 'table-unreadable':
      return `its page table at ${hex(translation.address)} is not in the target`;
    case 'page-fault':
      return translation.reason === 'not-present' ? 'not mapped' : `page fault (${translation.reason})`;
  }
}
