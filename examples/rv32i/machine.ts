import { callbacks, capture, GuestMemory, heap, restore, type Snapshot } from 'guestmem';
import { createHart, type Hart, type Trap } from './hart.ts';

/** Where things are: as on QEMU's `virt` board. */
export const RAM_START = 0x8000_0000;
export const CONSOLE_START = 0x1000_0000;

const TRANSMIT = 0;
const LINE_STATUS = 5;
const TRANSMITTER_EMPTY = 0x20;

/** All of a machine that a guest can notice. */
export interface MachineState {
  readonly pc: number;
  readonly x: Int32Array;
  readonly retired: number;
  readonly output: string;
  readonly ram: Snapshot;
}

/** RAM, a console and one hart that starts at the first byte of RAM. */
export class Machine {
  readonly bus: GuestMemory;
  readonly hart: Hart;
  /** What the guest has printed. */
  output = '';

  constructor(ramSize: number, image: Uint8Array) {
    const serial = callbacks({
      kind: 'console',
      size: 8,
      read: (offset, dest) => {
        refuseWide(dest);
        dest[0] = offset === LINE_STATUS ? TRANSMITTER_EMPTY : 0;
      },
      write: (offset, src) => {
        refuseWide(src);
        if (offset === TRANSMIT) this.output += String.fromCharCode(src[0] ?? 0);
      },
    });
    this.bus = GuestMemory.fromRegions(
      [
        { start: RAM_START, backing: heap(ramSize) },
        { start: CONSOLE_START, backing: serial },
      ],
      { name: 'bus' },
    );
    this.bus.writeAt(RAM_START, image);
    this.hart = createHart(this.bus, RAM_START);
  }

  /** Runs `limit` instructions, or up to the trap that it returns. */
  run(limit: number): Trap | undefined {
    return this.hart.run(limit);
  }

  /**
   * A copy of everything, of one moment: nothing runs between two calls of `run`. Regions of calls are not in a
   * snapshot of the bus; what the console knows is saved here.
   */
  capture(): MachineState {
    const { pc, x, retired } = this.hart;
    return { pc, x: x.slice(), retired, output: this.output, ram: capture(this.bus) };
  }

  /** Goes back to what was captured. */
  restore(state: MachineState): void {
    restore(this.bus, state.ram);
    this.hart.pc = state.pc;
    this.hart.x.set(state.x);
    this.hart.retired = state.retired;
    this.output = state.output;
  }
}

/** The registers are bytes. What a device throws, the guest gets as an access fault. */
function refuseWide(bytes: Uint8Array): void {
  if (bytes.length !== 1) throw new RangeError(`Current access ${bytes.length} bytes wide, wanted one byte`);
}
