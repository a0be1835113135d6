/** A mapping of a process, from `/proc/PID/maps` (proc_pid_maps(5)). */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  /** MAP_SHARED: writes of the process are seen through the file. */
  readonly shared: boolean;
  /** Offset in the file. */
  readonly offset: number;
  /** Device of the file, `major:minor` in hexadecimal. */
  readonly device: string;
  /** 0 where there is no file. */
  readonly inode: bigint;
  /** As the kernel prints it, with ` (deleted)` and all. */
  readonly path: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) r..([sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;

/**
 * Parses the whole file, as far as it can be read and lies below 2^53 (the vsyscall page does not). Neighbours that go
 * on with the same file, or with nothing, are one: the kernel splits a mapping where advice or NUMA policy change.
 */
export function parseMaps(listing: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of listing.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, start = '', end = '', sharing = '', offset = '', device = '', inode = '', path = ''] = match;
    const mapping = {
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      shared: sharing === 's',
      offset: Number.parseInt(offset, 16),
      device,
      inode: BigInt(inode),
      path,
    };
    if (!Number.isSafeInteger(mapping.end) || !Number.isSafeInteger(mapping.offset)) continue;
    const last = mappings.at(-1);
    if (last !== undefined && goesOn(last, mapping))
      mappings[mappings.length - 1] = { ...last, end: mapping.end };
    else mappings.push(mapping);
  }
  return mappings;
}

function goesOn(last: Mapping, next: Mapping): boolean {
  const sameFile = last.device === next.device && last.inode === next.inode && last.path === next.path;
  if (!sameFile || last.end !== next.start || last.shared !== next.shared) return false;
  return last.inode === 0n || last.offset + (last.end - last.start) === next.offset;
}

/** The mapping that has all of `length` bytes at `address`. */
export function mappingOf(
  mappings: readonly Mapping[],
  address: number,
  length: number,
): Mapping | undefined {
  return mappings.find(({ start, end }) => address >= start && length <= end - address);
}
