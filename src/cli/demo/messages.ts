import type { SharedRam } from './plan.ts';

/** What both Workers are started with. */
export interface Machine {
  readonly ram: readonly SharedRam[];
  readonly doorbells: SharedArrayBuffer;
}

/** The device side besides: the file behind its disk. */
export interface DeviceMachine extends Machine {
  readonly diskPath: string;
}

/** The guest side besides: how many blocks it moves each way. */
export interface GuestMachine extends Machine {
  readonly blocks: number;
}

/** To either Worker: a block of memory appeared. */
export interface PlugMessage {
  readonly kind: 'plug';
  readonly ram: SharedRam;
}

/** One direction of the traffic, as the guest measured it. */
export interface Transfer {
  readonly bytes: number;
  readonly seconds: number;
  /** Of the bytes, those that went through the plugged memory. */
  readonly pluggedBytes: number;
}

/** What the guest found when it was done. */
export interface GuestResult {
  readonly kind: 'result';
  readonly written: Transfer;
  readonly read: Transfer;
  readonly flushSeconds: number;
  /** The checksum of every block as the guest made it, in order. */
  readonly checksums: Uint32Array;
  /** Blocks that came back with another checksum. */
  readonly mismatches: number;
  readonly serial: string;
}

/** A page the guest wrote a text to, to be found from outside through its tables. */
export interface Marker {
  readonly gva: bigint;
  readonly gpa: number;
  readonly text: string;
}

/** From the guest. */
export type GuestMessage =
  | { readonly kind: 'booted'; readonly root: number; readonly leaves: number; readonly tables: number }
  | { readonly kind: 'wants-memory' }
  | { readonly kind: 'plugged'; readonly inFlight: number; readonly marker: Marker }
  | GuestResult
  | { readonly kind: 'failed'; readonly message: string };

/** What the device counted. */
export interface DeviceResult {
  readonly kind: 'result';
  readonly interrupts: number;
  readonly kicks: number;
}

/** From the device. */
export type DeviceMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'plugged'; readonly regions: number }
  | DeviceResult
  | { readonly kind: 'failed'; readonly message: string };
