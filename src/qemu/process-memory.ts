import { readdirSync, readFileSync, statSync } from 'node:fs';
import { type ByteSource, ImageError, isImageError } from '../image/index.ts';
import { FileByteSource } from './file-byte-source.ts';
import { type Mapping, mappingOf, parseMaps } from './proc-maps.ts';
import { isGone, linkOf, reasonOf } from './socket-owners.ts';

/** Where bytes are to be had: a file to read, and the offset of the first of them. */
export interface Place {
  readonly source: ByteSource;
  readonly offset: number;
}

/**
 * The address space of a QEMU process, and the files that are mapped into it.
 *
 * Files are reached through the process's own descriptors (`/proc/PID/fd`), for a memfd has no name and the path of a
 * huge page file is mostly unlinked. Each is opened once and stays ours: what happens to the process afterwards does
 * not matter.
 */
export class ProcessMemory {
  readonly pid: number;
  readonly #files: Map<string, FileByteSource> = new Map();
  #memory: FileByteSource | undefined;
  #mappings: readonly Mapping[] = [];

  constructor(pid: number) {
    this.pid = pid;
    this.refresh();
  }

  /**
   * Reads the list of mappings again.
   *
   * @throws Error of node:fs where we may not, or the process is gone
   */
  refresh(): void {
    this.#mappings = parseMaps(readFileSync(`/proc/${this.pid}/maps`, 'utf8'));
  }

  /** The one mapping that has all these bytes, if there is one. */
  mappingOf(address: number, length: number): Mapping | undefined {
    return mappingOf(this.#mappings, address, length);
  }

  /**
   * The file behind bytes of a shared mapping.
   *
   * @returns the place, or why there is none, for people
   */
  shared(mapping: Mapping, address: number, length: number): Place | string {
    if (mapping.inode === 0n) return 'it is anonymous memory';
    if (!mapping.shared) return `it is a private mapping of ${mapping.path}`;
    const source = this.#file(mapping);
    if (typeof source === 'string') return source;
    const offset = mapping.offset + (address - mapping.start);
    if (length > source.size - offset) {
      return `${mapping.path} has ${source.size} bytes, wanted ${length} at ${offset}`;
    }
    return { source, offset };
  }

  /**
   * Bytes of the process itself, by their address in it, as a debugger reads them: `/proc/PID/mem`.
   *
   * @returns the place, or why there is none, for people
   */
  own(address: number): Place | string {
    try {
      this.#memory ??= FileByteSource.open(`/proc/${this.pid}/mem`);
    } catch (error) {
      return `${isImageError(error) ? error.message : reasonOf(error)}: it takes the right to debug QEMU (its user and kernel.yama.ptrace_scope 0, or root)`;
    }
    const memory = this.#memory;
    const { name, size } = memory;
    const { pid } = this;
    const source: ByteSource = {
      name,
      size,
      read(position: number, dest: Uint8Array): number {
        const count = memory.read(position, dest);
        if (count > 0 || dest.length === 0) return count;
        throw new ImageError('unreachable', `Cannot read ${name}: process ${pid} is gone`, {
          source: name,
          position,
        });
      },
    };
    return { source, offset: address };
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
    this.#memory?.close();
    this.#memory = undefined;
  }

  #file(mapping: Mapping): FileByteSource | string {
    const key = `${mapping.device}:${mapping.inode}`;
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    try {
      const path = this.#pathOf(mapping);
      if (path === undefined) return `no descriptor of process ${this.pid} leads to ${mapping.path}`;
      const file = FileByteSource.open(path, mapping.path.replace(/ \(deleted\)$/, ''));
      this.#files.set(key, file);
      return file;
    } catch (error) {
      return `${mapping.path} cannot be opened (${reasonOf(error)})`;
    }
  }

  /** A way to the mapped file: a descriptor of the process, else the path as the process sees it. */
  #pathOf(mapping: Mapping): string | undefined {
    const folder = `/proc/${this.pid}/fd`;
    const paths = readdirSync(folder).map((name) => `${folder}/${name}`);
    return [...paths, `/proc/${this.pid}/root${mapping.path}`].find((path) => isFileOf(mapping, path));
  }
}

/**
 * Whether a path leads to the mapped file. The inode decides; the device number too, except where the file system
 * shows another one to stat(2) than to the list of mappings (btrfs, overlays): there the name must agree.
 */
function isFileOf(mapping: Mapping, path: string): boolean {
  try {
    const { ino, dev } = statSync(path, { bigint: true });
    if (ino !== mapping.inode) return false;
    return deviceName(dev) === mapping.device || linkOf(path) === mapping.path;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** A device number as `/proc/PID/maps` prints it; the packing is glibc's (makedev(3)). */
function deviceName(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
}
