import type { SpaceTableShape } from './shared-address-space-table.ts';
import type { SharedBufferHandle } from './shared-buffer.ts';
import type { SharedRegionHandle } from './sharing-region.ts';

/** MessagePort, by whichever types of the platform the program is compiled with: Node's, or a browser's. */
export type SpacePort = typeof globalThis extends { MessageChannel: new () => { readonly port1: infer Port } }
  ? Port
  : object;

/** The part of a port that is used here. */
export interface RegionPort {
  onmessage: ((event: { readonly data: RegionMessage }) => void) | null;
  postMessage(message: RegionMessage): void;
  close(): void;
  /** Node: whether the port keeps the thread running. */
  ref?(): void;
  unref?(): void;
}

/** A region that is not in the table all share, under the number it has there. */
export interface RegionMessage {
  readonly id: number;
  readonly region: SharedRegionHandle;
}

/** A shared address space as it is posted to one Worker; its port is to be in the transfer list. */
export interface SharedSpaceHandle {
  readonly name: string;
  readonly words: Int32Array;
  readonly shape: SpaceTableShape;
  /** For `evict`, should the Worker end without closing. */
  readonly slot: number;
  readonly ticket: number;
  readonly pools: readonly SharedBufferHandle[];
  readonly regions: readonly RegionMessage[];
  readonly port: SpacePort;
}

/** False for what was posted without its port in the transfer list. */
export function isRegionPort(port: object | undefined): port is RegionPort {
  return port !== undefined && 'postMessage' in port && 'onmessage' in port;
}
