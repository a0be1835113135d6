import { type GuestMemory, hex, toGpa } from '../core/index.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { QueueError, type QueueErrorCode, type QueueErrorFacts } from './queue-error.ts';
import { DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, DESCRIPTOR_SIZE } from './split-layout.ts';
import type { SplitRings } from './split-rings.ts';

/** What a chain may be at most, and whether it may be indirect. */
export interface ChainLimits {
  readonly indirect: boolean;
  readonly maxLength: number;
  readonly maxBytes: number;
}

const address64 = new BigUint64Array(1);
const address32 = new Uint32Array(address64.buffer);

/**
 * Follows a chain through the descriptor table and at most one indirect table, checks every field where it is read,
 * and leaves the segments in a {@link DescriptorChain}.
 *
 * Each descriptor is fetched once: the address as one 64-bit element, the length as one word, flags and next as one
 * word. An indirect table is copied whole into private memory first. What the driver changes meanwhile is therefore
 * seen either before all checks or not at all.
 *
 * The work is bounded by the number of descriptors in the tables: a chain with more links than its table has entries
 * must have come back to itself.
 */
export class ChainLoader {
  private readonly limits: ChainLimits;
  /** Private copy of the indirect table, made when the first one comes. */
  private copy: Uint8Array;
  private copy32: Uint32Array;
  private copy64: BigUint64Array;

  constructor(limits: ChainLimits) {
    this.limits = limits;
    this.copy = new Uint8Array(0);
    this.copy32 = new Uint32Array(0);
    this.copy64 = new BigUint64Array(0);
  }

  /**
   * Fills `chain` with the chain that begins at `head`.
   *
   * @throws QueueError with the code of the rule that was broken; `chain` then has what came before it
   */
  load(rings: SplitRings, head: number, chain: DescriptorChain): void {
    const { indirect, maxLength, maxBytes } = this.limits;
    const { memory } = rings;
    let { table32, table64 } = rings;
    let entries = rings.layout.size;
    let inTable = false;
    let index = head;
    let links = 1;
    let total = 0;
    let writable = false;
    chain.begin(memory, head);
    for (;;) {
      if (index >= entries)
        throw broken('descriptor-index', 'index past the end of its table', head, index, index, entries);
      address64[0] = table64[index * 2] as bigint;
      const length = table32[index * 4 + 2] as number;
      const flagsAndNext = table32[index * 4 + 3] as number;
      const flags = flagsAndNext & 0xffff;

      if ((flags & DESC_F_INDIRECT) !== 0) {
        // The write-only flag of this descriptor is ignored (virtio 1.3, 2.7.5.3.2).
        if (!indirect) throw broken('indirect-not-negotiated', 'an indirect descriptor', head, index);
        if (inTable) throw broken('indirect-in-indirect', 'a table within a table', head, index);
        if ((flags & DESC_F_NEXT) !== 0)
          throw broken('indirect-and-next', 'INDIRECT and NEXT together', head, index);
        entries = this.copyTable(memory, head, index, length);
        table32 = this.copy32;
        table64 = this.copy64;
        inTable = true;
        // The counter starts again once only, for there is no way out of a table.
        links = 1;
        index = 0;
        continue;
      }

      if ((flags & DESC_F_WRITE) !== 0) writable = true;
      else if (writable)
        throw broken('readable-after-writable', 'a readable descriptor after a writable one', head, index);
      if (chain.count >= maxLength) {
        throw broken('chain-too-long', 'too many descriptors', head, index, chain.count + 1, maxLength);
      }
      total += length;
      if (total > maxBytes) throw broken('too-many-bytes', 'too many bytes', head, index, total, maxBytes);
      const gpa = addressOf(head, index);
      if (!memory.checkRange(gpa, length, writable ? 'write' : 'read'))
        throw unmapped(memory, head, index, gpa, length, writable);
      chain.append(gpa, length, writable);

      if ((flags & DESC_F_NEXT) === 0) break;
      if (++links > entries)
        throw broken('chain-loop', 'more links than descriptors', head, index, links, entries);
      index = flagsAndNext >>> 16;
    }
    chain.rewind();
  }

  /** Copies the indirect table that the fetched descriptor refers to; the number of descriptors in it. */
  private copyTable(memory: GuestMemory, head: number, index: number, length: number): number {
    // A longer table could only hold descriptors that no chain may reach.
    const limit = this.limits.maxLength * DESCRIPTOR_SIZE;
    if (length === 0 || length % DESCRIPTOR_SIZE !== 0 || length > limit) {
      throw broken(
        'indirect-length',
        'length of the indirect table not a multiple of 16 within',
        head,
        index,
        length,
        limit,
      );
    }
    const gpa = addressOf(head, index);
    if (this.copy.length < length) this.makeRoom(length);
    try {
      memory.readAt(gpa, this.copy, 0, length);
    } catch (cause) {
      throw broken(
        'indirect-unmapped',
        `no memory for the indirect table at ${hex(gpa)}`,
        head,
        index,
        gpa,
        length,
        cause,
      );
    }
    return length / DESCRIPTOR_SIZE;
  }

  private makeRoom(length: number): void {
    const buffer = new ArrayBuffer(Math.max(length, 64 * DESCRIPTOR_SIZE));
    this.copy = new Uint8Array(buffer);
    this.copy32 = new Uint32Array(buffer);
    this.copy64 = new BigUint64Array(buffer);
  }
}

/** The address of the descriptor that was fetched last. */
function addressOf(head: number, descriptor: number): number {
  try {
    return toGpa(address32[0] as number, address32[1] as number);
  } catch (cause) {
    throw broken('descriptor-address', 'address above 2^53-1', head, descriptor, undefined, undefined, cause);
  }
}

function broken(
  code: QueueErrorCode,
  what: string,
  head: number,
  descriptor: number,
  value?: number,
  limit?: number,
  cause?: unknown,
): QueueError {
  const numbers = limit === undefined ? '' : `: current value ${value}, limit ${limit}`;
  const facts: QueueErrorFacts = { head, descriptor, value, limit, cause };
  return new QueueError(
    code,
    `Cannot follow chain ${head} at descriptor ${descriptor}: ${what}${numbers}`,
    facts,
  );
}

function unmapped(
  memory: GuestMemory,
  head: number,
  descriptor: number,
  gpa: number,
  length: number,
  writable: boolean,
): QueueError {
  const what = `no ${writable ? 'writable' : 'readable'} memory for ${length} bytes at ${hex(gpa)} of memory "${memory.name}"`;
  return new QueueError(
    'buffer-unmapped',
    `Cannot follow chain ${head} at descriptor ${descriptor}: ${what}`,
    {
      head,
      descriptor,
      value: gpa,
      limit: length,
    },
  );
}
