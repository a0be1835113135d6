/**
 * A small real CPU whose memory is guestmem: RISC-V RV32I (`rv32i/hart.ts`) on a bus of RAM and a console
 * (`rv32i/machine.ts`), running a program that is assembled here (`rv32i/primes.ts`). It is stopped in the middle,
 * captured, run to its end, restored, and run to the same end again.
 */
import assert from 'node:assert/strict';
import { difference } from 'guestmem';
import { assemble } from './rv32i/assembler.ts';
import { CAUSE, type Trap } from './rv32i/hart.ts';
import { Machine, RAM_START } from './rv32i/machine.ts';
import { LIMIT, PRIMES, SIZE_RAM } from './rv32i/primes.ts';

const RAM_SIZE = 0x40_0000;
const EXIT = 93;

const machine = new Machine(RAM_SIZE, assemble(PRIMES, RAM_START));

assert.equal(machine.run(5_000_000), undefined);
const middle = machine.capture();
const half = machine.output;

const began = performance.now();
assertExit(machine.run(100_000_000));
const seconds = (performance.now() - began) / 1000;
const retired = machine.hart.retired - middle.retired;
const full = machine.output;
assert.equal(full, expectedOutput());
assert.notEqual(full, half);
const changed = difference(machine.bus, middle.ram).reduce((sum, { length }) => sum + length, 0);
assert(changed > 0);

machine.restore(middle);
assert.equal(machine.output, half);
assertExit(machine.run(100_000_000));
assert.equal(machine.output, full);
assert.equal(machine.hart.retired, middle.retired + retired);

process.stdout.write(machine.output);
console.log(
  `${retired} instructions at ${Math.round(retired / seconds / 1e6)} MIPS, twice with the same end`,
);
console.log(`The second half changed ${changed / 1024} KiB of RAM`);

// What the guest may not touch is a trap of the guest, with the very byte that was not there.
const small = new Machine(0x1_0000, assemble(SIZE_RAM, RAM_START));
assert.deepEqual(small.run(1000), { cause: CAUSE.loadFault, value: RAM_START + 0x1_0000 });
console.log(`A guest found ${(small.hart.x[5] ?? 0) - (RAM_START | 0)} bytes of RAM by a load access fault`);

function assertExit(trap: Trap | undefined): void {
  assert.equal(trap?.cause, CAUSE.environmentCall);
  assert.deepEqual([machine.hart.x[17], machine.hart.x[10]], [EXIT, 0]);
}

/** The same sieve without a guest. */
function expectedOutput(): string {
  const struck = new Uint8Array(LIMIT);
  const small: number[] = [];
  let count = 0;
  let checksum = 0;
  for (let n = 2; n < LIMIT; n++) {
    if (struck[n] !== 0) continue;
    for (let multiple = 2 * n; multiple < LIMIT; multiple += n) struck[multiple] = 1;
    count++;
    checksum = ((checksum << 5) | (checksum >>> 27)) ^ n;
    if (n < 50) small.push(n);
  }
  const digits = (checksum >>> 0).toString(16).padStart(8, '0');
  return `${small.join(' ')} ...\nprimes: ${count}\nchecksum: ${digits}\n`;
}
