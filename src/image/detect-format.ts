import { hex } from '../core/index.ts';
import { type ByteSource, readUpTo } from './byte-source.ts';
import { ELF_MAGIC, ET_CORE } from './elf-layout.ts';

/** What an image looks like, and why. */
export interface FormatGuess {
  /** `elf-core`, the name of a format that is recognised but not read yet, or `unknown`. Never `raw`: that has to be named. */
  readonly format: string;
  /** For people: `ELF core because ...`. */
  readonly reason: string;
  /** Whether `openImage` reads it. */
  readonly readable: boolean;
}

/** Bytes that a file of some format begins with. */
interface Signature {
  readonly format: string;
  readonly called: string;
  readonly start: string | readonly number[];
}

/** Recognised so that a person learns what the file is, not that it is unknown. */
const SIGNATURES: readonly Signature[] = [
  { format: 'kdump', called: 'A kdump-compressed dump', start: 'KDUMP   ' },
  { format: 'kdump', called: 'A diskdump', start: 'DISKDUMP' },
  { format: 'kdump-flattened', called: 'A flattened makedumpfile dump', start: 'makedumpfile' },
  { format: 'lime', called: 'A LiME dump', start: 'EMiL' },
  { format: 'avml', called: 'An AVML dump', start: 'AVML' },
  { format: 'windows-dump', called: 'A 64-bit Windows crash dump', start: 'PAGEDU64' },
  { format: 'windows-dump', called: 'A 32-bit Windows crash dump', start: 'PAGEDUMP' },
  { format: 'windows-hibernation', called: 'A Windows hibernation file', start: 'HIBR' },
  { format: 'windows-hibernation', called: 'A Windows hibernation file', start: 'hibr' },
  { format: 'vmware-state', called: 'A VMware state file (old)', start: [0xd0, 0xbe, 0xd0, 0xbe] },
  { format: 'vmware-state', called: 'A VMware state file', start: [0xd2, 0xbe, 0xd2, 0xbe] },
  { format: 'vmware-state', called: 'A VMware state file (partial)', start: [0xd3, 0xbe, 0xd3, 0xbe] },
  { format: 'vmware-state', called: 'A VMware state file', start: [0xd1, 0xba, 0xd1, 0xba] },
  { format: 'vmware-state', called: 'A VMware state file', start: [0xd2, 0xba, 0xd2, 0xba] },
  { format: 'qemu-migration', called: 'A QEMU migration stream', start: 'QEVM' },
  {
    format: 'libvirt-save',
    called: "A libvirt save file (take 'virsh dump --memory-only')",
    start: 'LibvirtQemudSave',
  },
  { format: 'libvirt-save', called: 'A libvirt save file, unfinished', start: 'LibvirtQemudPart' },
  { format: 'qcow2', called: 'A qcow2 disk', start: [0x51, 0x46, 0x49, 0xfb] },
  { format: 'v86-state', called: 'A v86 state', start: [0x76, 0x86, 0x76, 0x86] },
  { format: 'gzip', called: 'A gzip file (decompress it first)', start: [0x1f, 0x8b] },
  { format: 'zstd', called: 'A zstd file (decompress it first)', start: [0x28, 0xb5, 0x2f, 0xfd] },
  { format: 'xz', called: 'An xz file (decompress it first)', start: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
];

/** `e_type` lies behind the 16 bytes of `e_ident`. */
const E_TYPE = 16;

/**
 * Says what an image looks like, from its first bytes, and why.
 *
 * @throws ImageError `io` where the source cannot be read
 * @throws GuestMemoryError `pending` where it has to wait: call it within `settle`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesSource, detectFormat } from 'guestmem/image';
 *
 * const guess = detectFormat(bytesSource(new TextEncoder().encode('KDUMP   and so on')));
 * assert.equal(guess.format, 'kdump');
 * assert.equal(guess.readable, false);
 * assert.match(guess.reason, /because it begins with 4b 44 55 4d 50/);
 * ```
 */
export function detectFormat(source: ByteSource): FormatGuess {
  const buffer = new Uint8Array(32);
  const head = buffer.subarray(0, readUpTo(source, 0, buffer));
  if (head.length === 0) return { format: 'unknown', reason: 'Unknown because it is empty', readable: false };
  if (startsWith(head, ELF_MAGIC)) return elfGuess(head);
  for (const { format, called, start } of SIGNATURES) {
    const wanted = typeof start === 'string' ? Array.from(start, (c) => c.charCodeAt(0)) : start;
    if (startsWith(head, wanted)) {
      return { format, reason: `${called} because it begins with ${digits(wanted)}`, readable: false };
    }
  }
  return {
    format: 'unknown',
    reason: `Unknown because no format that is known begins with ${digits([...head.subarray(0, 8)])}`,
    readable: false,
  };
}

function elfGuess(head: Uint8Array): FormatGuess {
  const because = `because it begins with ${digits(ELF_MAGIC)}`;
  // EI_DATA, byte 5: 2 is big-endian.
  const [low, high] = head[5] === 2 ? [E_TYPE + 1, E_TYPE] : [E_TYPE, E_TYPE + 1];
  const type = (head[low] ?? 0) + (head[high] ?? 0) * 256;
  if (head.length < E_TYPE + 2)
    return { format: 'elf', reason: `ELF ${because} and ends in the header`, readable: false };
  if (type !== ET_CORE) {
    return {
      format: 'elf',
      reason: `ELF, but no core, ${because} and e_type is ${hex(type)}`,
      readable: false,
    };
  }
  return { format: 'elf-core', reason: `ELF core ${because} and e_type is 4 (ET_CORE)`, readable: true };
}

function startsWith(head: Uint8Array, wanted: readonly number[]): boolean {
  return head.length >= wanted.length && wanted.every((byte, i) => head[i] === byte);
}

function digits(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
