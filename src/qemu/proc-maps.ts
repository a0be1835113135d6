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

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ..(?:.)([sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;

/** Parses the whole file. Lines of addresses above 2^53 (the vsyscall page) are left out. */
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
    if (Number.isSafeInteger(mapping.end) && Number.isSafeInteger(mapping.offset)) mappings.push(mapping);
  }
  return mappings;
}

/** The mapping that has all of `length` bytes at `address`. */
export function mappingOf(
  mappings: readonly Mapping[],
  address: number,
  length: number,
): Mapping | undefined {
  return mappings.find(({ start, end }) => address >= start && length <= end - address);
}
