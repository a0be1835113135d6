// What the oracles share: deliberately naive second implementations of the architectures' translation rules, written from
// the manuals alone. They import nothing of the library, know only bigints, and are as slow as they look.

/** Reads one entry, little-endian; `undefined` where nothing can be read. */
export type OracleMemory = (address: bigint, size: 4 | 8) => bigint | undefined;

export interface OracleAccess {
  readonly kind: 'read' | 'write' | 'execute';
  readonly user: boolean;
  /** By an instruction that is for the shadow stack. */
  readonly shadowStack?: boolean;
}

/** An accessed or dirty flag that was set: the entry's address and its whole new value. */
export type OracleWrite = [address: bigint, value: bigint];

export interface OracleMapped {
  readonly kind: 'mapped';
  readonly pa: bigint;
  /** The largest naturally aligned page around the address that one TLB entry may hold. */
  readonly pageSize: bigint;
  /** The leaf's level, in the architecture's own numbers. */
  readonly level: number;
  /** Addresses of the entries read, in order. */
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

export interface OracleUnreadable {
  readonly kind: 'unreadable';
  readonly level: number;
  readonly entryAddress: bigint;
  readonly reads: bigint[];
  readonly writes: OracleWrite[];
}

/** Bits high:low of a value. */
export function field(value: bigint, high: number, low: number): bigint {
  return (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
}

export function bit(value: bigint, position: number): boolean {
  return ((value >> BigInt(position)) & 1n) === 1n;
}

/** The memory as one translation sees it: what it read, what it wrote, and reads of what it wrote itself. */
export class OracleTables {
  readonly reads: bigint[] = [];
  readonly writes: OracleWrite[] = [];
  readonly #memory: OracleMemory;

  constructor(memory: OracleMemory) {
    this.#memory = memory;
  }

  /** The entry at an address. An attempt that fails is none of the reads. */
  read(address: bigint, size: 4 | 8): bigint | undefined {
    const written = this.writes.findLast(([at]) => at === address);
    const entry = written === undefined ? this.#memory(address, size) : written[1];
    if (entry !== undefined) this.reads.push(address);
    return entry;
  }

  /** Writes an entry that was read; nothing is written where it is the same already. */
  write(address: bigint, before: bigint, after: bigint): void {
    const written = this.writes.findLast(([at]) => at === address);
    const now = written === undefined ? before : written[1];
    if (now !== after) this.writes.push([address, after]);
  }
}

/** Tables in a map from address to entry: what tests build. */
export class OracleMap {
  readonly entries: Map<bigint, bigint> = new Map();
  /** From here on nothing is readable. */
  readonly end: bigint;

  constructor(end: bigint = 1n << 52n) {
    this.end = end;
  }

  set(address: bigint, entry: bigint): this {
    this.entries.set(address, entry);
    return this;
  }

  get memory(): OracleMemory {
    return (address) => (address >= this.end ? undefined : (this.entries.get(address) ?? 0n));
  }
}
