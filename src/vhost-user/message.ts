/**
 * Messages of the front end, from bytes. What leaves this file has the shape that the protocol says: version,
 * length and number of descriptors are checked here, and only here. What the values mean is checked by those who use them.
 */
import {
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  FLAG_VERSION,
  FLAG_VERSION_MASK,
  HEADER_SIZE,
  MAX_BODY_SIZE,
  MAX_CONFIG_SIZE,
  MAX_TABLE_REGIONS,
  REQUEST_NAMES,
} from './protocol.ts';
import { VhostUserError } from './vhost-user-error.ts';

/** The first 12 bytes of every message. */
export interface MessageHeader {
  readonly request: number;
  /** The front end waits for an acknowledgement, where REPLY_ACK was negotiated. */
  readonly needReply: boolean;
  /** Bytes that follow. */
  readonly size: number;
}

/** One memory region, as the front end describes it. All values are 64 bits wide on the wire. */
export interface WireRegion {
  readonly gpa: bigint;
  readonly size: bigint;
  /** Where the front end has it mapped: ring addresses are of this kind. */
  readonly userAddress: bigint;
  /** First byte in the file whose descriptor comes along. */
  readonly mmapOffset: bigint;
}

type Empty =
  | 'GET_FEATURES'
  | 'SET_OWNER'
  | 'RESET_OWNER'
  | 'GET_PROTOCOL_FEATURES'
  | 'GET_QUEUE_NUM'
  | 'RESET_DEVICE'
  | 'GET_MAX_MEM_SLOTS';

/** A message of the front end, of those that this back end handles. */
export type FrontEndMessage =
  | { readonly request: Empty }
  | { readonly request: 'SET_FEATURES' | 'SET_PROTOCOL_FEATURES'; readonly features: bigint }
  | { readonly request: 'SET_MEM_TABLE'; readonly regions: readonly WireRegion[] }
  | { readonly request: 'ADD_MEM_REG' | 'REM_MEM_REG'; readonly region: WireRegion }
  | {
      readonly request: 'SET_VRING_NUM' | 'SET_VRING_BASE' | 'GET_VRING_BASE' | 'SET_VRING_ENABLE';
      readonly index: number;
      readonly value: number;
    }
  | { readonly request: 'SET_VRING_ADDR'; readonly index: number; readonly addresses: RingAddresses }
  | {
      readonly request: 'SET_VRING_KICK' | 'SET_VRING_CALL' | 'SET_VRING_ERR';
      readonly index: number;
      readonly hasDescriptor: boolean;
    }
  | { readonly request: 'GET_CONFIG'; readonly offset: number; readonly size: number }
  | { readonly request: 'SET_CONFIG'; readonly offset: number; readonly bytes: Uint8Array };

/** Where a ring's three parts are, as addresses of the front end. */
export interface RingAddresses {
  readonly descriptorTable: bigint;
  readonly usedRing: bigint;
  readonly availableRing: bigint;
}

const REGION_SIZE = 32;
/** SET_VRING_KICK and its siblings: bits 7:0 are the ring, bit 8 says that no descriptor comes. */
const NO_DESCRIPTOR = 1n << 8n;
const RING_INDEX_MASK = 0xffn;

/**
 * Reads a header.
 *
 * @throws {@link VhostUserError} `header` where it is none, or announces a body that is too long
 */
export function decodeHeader(bytes: DataView): MessageHeader {
  const request = bytes.getUint32(0, true);
  const flags = bytes.getUint32(4, true);
  const size = bytes.getUint32(8, true);
  const refuse = (why: string): VhostUserError =>
    new VhostUserError('header', `Cannot read a message: ${why}`, { request: requestName(request) });
  if ((flags & FLAG_VERSION_MASK) !== FLAG_VERSION) {
    throw refuse(`it is of version ${flags & FLAG_VERSION_MASK}, wanted ${FLAG_VERSION}`);
  }
  if ((flags & FLAG_REPLY) !== 0) throw refuse(`it is a reply (${requestName(request)}), wanted a request`);
  if (size > MAX_BODY_SIZE) throw refuse(`its body has ${size} bytes, wanted at most ${MAX_BODY_SIZE}`);
  return { request, needReply: (flags & FLAG_NEED_REPLY) !== 0, size };
}

/** A whole reply to `request`. */
export function encodeReply(request: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + body.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request, true);
  view.setUint32(4, FLAG_VERSION | FLAG_REPLY, true);
  view.setUint32(8, body.byteLength, true);
  bytes.set(body, HEADER_SIZE);
  return bytes;
}

/** The request's name, or its number where it has none. */
export function requestName(request: number): string {
  return REQUEST_NAMES[request] ?? `request ${request}`;
}

/**
 * Reads a message.
 *
 * @param descriptors - how many came along
 * @throws {@link VhostUserError} `unsupported`, `length` or `descriptors`
 */
export function decodeMessage(request: number, body: DataView, descriptors: number): FrontEndMessage {
  const reader = new BodyReader(requestName(request), body);
  const message = decodeBody(reader);
  reader.expectEnd();
  const [least, most] = descriptorCount(message);
  if (descriptors < least || descriptors > most) {
    const wanted = least === most ? `${least}` : `${least} to ${most}`;
    const text = `Cannot handle ${message.request}: ${descriptors} descriptors came along, wanted ${wanted}`;
    throw new VhostUserError('descriptors', text, { request: message.request });
  }
  return message;
}

function decodeBody(reader: BodyReader): FrontEndMessage {
  const request = reader.request;
  switch (request) {
    case 'GET_FEATURES':
    case 'SET_OWNER':
    case 'RESET_OWNER':
    case 'GET_PROTOCOL_FEATURES':
    case 'GET_QUEUE_NUM':
    case 'RESET_DEVICE':
    case 'GET_MAX_MEM_SLOTS':
      return { request };
    case 'SET_FEATURES':
    case 'SET_PROTOCOL_FEATURES':
      return { request, features: reader.u64() };
    case 'SET_MEM_TABLE':
      return { request, regions: decodeTable(reader) };
    case 'ADD_MEM_REG':
    case 'REM_MEM_REG':
      reader.u64(); // padding
      return { request, region: decodeRegion(reader) };
    case 'SET_VRING_NUM':
    case 'SET_VRING_BASE':
    case 'GET_VRING_BASE':
    case 'SET_VRING_ENABLE':
      return { request, index: reader.u32(), value: reader.u32() };
    case 'SET_VRING_ADDR':
      return { request, ...decodeAddresses(reader) };
    case 'SET_VRING_KICK':
    case 'SET_VRING_CALL':
    case 'SET_VRING_ERR': {
      const value = reader.u64();
      return {
        request,
        index: Number(value & RING_INDEX_MASK),
        hasDescriptor: (value & NO_DESCRIPTOR) === 0n,
      };
    }
    case 'GET_CONFIG': {
      const { offset, bytes } = decodeConfig(reader);
      return { request, offset, size: bytes.byteLength };
    }
    case 'SET_CONFIG':
      return { request, ...decodeConfig(reader) };
    default:
      throw new VhostUserError('unsupported', `Cannot handle ${request}: this back end does not offer it`, {
        request,
      });
  }
}

/** The least and the most descriptors that belong to a message. */
function descriptorCount(message: FrontEndMessage): readonly [least: number, most: number] {
  switch (message.request) {
    case 'SET_MEM_TABLE':
      return [message.regions.length, message.regions.length];
    case 'ADD_MEM_REG':
      return [1, 1];
    case 'REM_MEM_REG':
      // Not needed, but some front ends send one: "the back-end must close it".
      return [0, 1];
    case 'SET_VRING_KICK':
    case 'SET_VRING_CALL':
    case 'SET_VRING_ERR':
      return message.hasDescriptor ? [1, 1] : [0, 0];
    default:
      return [0, 0];
  }
}

function decodeTable(reader: BodyReader): WireRegion[] {
  const count = reader.u32();
  reader.u32(); // padding
  if (count > MAX_TABLE_REGIONS) {
    throw reader.refuse(`it has ${count} regions, wanted at most ${MAX_TABLE_REGIONS}`);
  }
  reader.expect(count * REGION_SIZE);
  return Array.from({ length: count }, () => decodeRegion(reader));
}

function decodeRegion(reader: BodyReader): WireRegion {
  return { gpa: reader.u64(), size: reader.u64(), userAddress: reader.u64(), mmapOffset: reader.u64() };
}

function decodeAddresses(reader: BodyReader): { index: number; addresses: RingAddresses } {
  const index = reader.u32();
  reader.u32(); // flags: bit 0 asks for logging, which is not offered
  const descriptorTable = reader.u64();
  const usedRing = reader.u64();
  const availableRing = reader.u64();
  reader.u64(); // address of the log
  return { index, addresses: { descriptorTable, usedRing, availableRing } };
}

function decodeConfig(reader: BodyReader): { offset: number; bytes: Uint8Array } {
  const offset = reader.u32();
  const size = reader.u32();
  reader.u32(); // flags: who writes, a driver or a migration
  if (size > MAX_CONFIG_SIZE || offset > MAX_CONFIG_SIZE - size) {
    throw reader.refuse(`it is about ${size} bytes at ${offset}, and there are ${MAX_CONFIG_SIZE}`);
  }
  return { offset, bytes: reader.bytes(size) };
}

/** Reads little-endian fields one after another; past the end it throws. */
class BodyReader {
  readonly request: string;
  readonly #body: DataView;
  #at = 0;

  constructor(request: string, body: DataView) {
    this.request = request;
    this.#body = body;
  }

  u32(): number {
    this.expect(4);
    this.#at += 4;
    return this.#body.getUint32(this.#at - 4, true);
  }

  u64(): bigint {
    this.expect(8);
    this.#at += 8;
    return this.#body.getBigUint64(this.#at - 8, true);
  }

  /** A copy: the body's buffer is used again for the next message. */
  bytes(length: number): Uint8Array {
    this.expect(length);
    this.#at += length;
    return new Uint8Array(this.#body.buffer, this.#body.byteOffset + this.#at - length, length).slice();
  }

  expect(length: number): void {
    if (length > this.#body.byteLength - this.#at) {
      throw this.refuse(`its body has ${this.#body.byteLength} bytes, wanted at least ${this.#at + length}`);
    }
  }

  expectEnd(): void {
    if (this.#at !== this.#body.byteLength) {
      throw this.refuse(`its body has ${this.#body.byteLength} bytes, wanted ${this.#at}`);
    }
  }

  refuse(why: string): VhostUserError {
    return new VhostUserError('length', `Cannot handle ${this.request}: ${why}`, { request: this.request });
  }
}
