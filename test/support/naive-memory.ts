/** A region of the reference: where it is, and whether it may be written. */
export interface NaiveRegion {
  readonly start: number;
  readonly size: number;
  readonly readOnly: boolean;
}

/**
 * Guest memory as simply as it can be said: a map from address to byte, and a list of regions. Everything is decided one
 * byte at a time.
 */
export class NaiveMemory {
  readonly regions: readonly NaiveRegion[];
  /** Bytes by address; shared by all memories that came from one another, as the real ones share theirs. */
  readonly bytes: Map<number, number>;

  constructor(regions: readonly NaiveRegion[] = [], bytes: Map<number, number> = new Map()) {
    this.regions = regions;
    this.bytes = bytes;
  }

  region(gpa: number): NaiveRegion | undefined {
    return this.regions.find(({ start, size }) => gpa >= start && gpa < start + size);
  }

  /** The first byte of a range that cannot be accessed, and why; `undefined` where all can. */
  trouble(
    gpa: number,
    length: number,
    write: boolean,
  ): { at: number; code: 'unmapped' | 'denied' } | undefined {
    for (let at = gpa; at < gpa + length; at++) {
      const region = this.region(at);
      if (region === undefined) return { at, code: 'unmapped' };
      if (write && region.readOnly) return { at, code: 'denied' };
    }
    return undefined;
  }

  get(gpa: number): number {
    return this.bytes.get(gpa) ?? 0;
  }

  read(gpa: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.get(gpa + i));
  }

  write(gpa: number, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => void this.bytes.set(gpa + i, byte));
  }

  overlaps(start: number, size: number): boolean {
    return this.regions.some((region) => start < region.start + region.size && region.start < start + size);
  }

  insert(region: NaiveRegion): NaiveMemory {
    return new NaiveMemory([...this.regions, region], this.bytes);
  }

  remove(start: number, size: number): NaiveMemory {
    for (let at = start; at < start + size; at++) this.bytes.delete(at);
    return new NaiveMemory(
      this.regions.filter((region) => region.start !== start),
      this.bytes,
    );
  }
}
