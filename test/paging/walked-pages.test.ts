import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GuestMemory } from '../../src/core/index.ts';
import {
  ACCESS,
  aarch64Stage1Format,
  type PagingControls,
  type PagingFormat,
  RISCV_SV39,
  Tlb,
  Translator,
  type WalkedPage,
  X86_4LEVEL,
} from '../../src/paging/index.ts';

// What `resolvePage` tells a TLB of a page. Access codes are kind (read 0, write 1, execute 2, shadow stack 3) and above it who asks:
// supervisor, user, supervisor with EFLAGS.AC, the processor itself. Bit n of `accesses` is code n: each of them has a digit of it.

const EVERYTHING = 0x7777;
const READS = 0x1111;
const WRITES = 0x2222;
const EXECUTES = 0x4444;
const SUPERVISOR = 0xff0f;

const P = 1n;
const W = 2n;
const U = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const G = 0x100n;
const NX = 1n << 63n;
const KEY_1 = 1n << 59n;
const TABLE = P | W | U | A;

interface Machine {
  readonly memory: GuestMemory;
  readonly translator: Translator;
  /** The page at a virtual address, and where it leads. */
  page(lo: number, access?: number): WalkedPage & { readonly at: number };
}

/** Tables at 0x1000, 0x2000 ... that begin with an entry for the next, the last with `leaf`. */
function machine(
  format: PagingFormat,
  tables: readonly bigint[],
  leaf: bigint,
  controls: PagingControls = {},
): Machine {
  const memory = GuestMemory.allocate(0x8000);
  for (const [i, entry] of [...tables, leaf].entries()) memory.writeU64(0x1000 * (i + 1), entry);
  const translator = new Translator({ memory, format, root: 0x1000, controls });
  return {
    memory,
    translator,
    page(lo, access = ACCESS.read) {
      const page = { sizeBits: 0, accesses: 0, global: false };
      return { at: translator.resolvePage(lo, 0, access, page), ...page };
    },
  };
}

const x86 = (leaf: bigint, controls?: PagingControls): Machine =>
  machine(X86_4LEVEL, [0x2000n | TABLE, 0x3000n | TABLE, 0x4000n | TABLE], leaf, controls);

describe('the page of a walk, for a TLB', () => {
  it('T8: place, size and accesses of pages of 4 KiB, 2 MiB and 1 GiB', () => {
    const small = x86(0x5000n | P | W | U | A | D);
    assert.deepEqual(small.page(0x123), { at: 0x5123, sizeBits: 12, accesses: EVERYTHING, global: false });
    small.memory.writeU64(0x3000, 0x4000_0000n | PS | P | W | U);
    assert.deepEqual(small.page(0x12_3456), {
      at: 0x4012_3456,
      sizeBits: 21,
      accesses: EVERYTHING,
      global: false,
    });
    small.memory.writeU64(0x2000, 0x8000_0000n | PS | P | NX);
    assert.deepEqual(small.page(0x1234_5678), {
      at: 0x9234_5678,
      sizeBits: 30,
      accesses: READS & SUPERVISOR,
      global: false,
    });
  });

  it('T8: a page at physical address 0 is a page', () => {
    const { page } = x86(P | W | U | A | D);
    assert.deepEqual(page(0), { at: 0, sizeBits: 12, accesses: EVERYTHING, global: false });
    assert.deepEqual(page(0xfff), { at: 0xfff, sizeBits: 12, accesses: EVERYTHING, global: false });
  });

  it('T8: where the access is refused, nothing is said', () => {
    const { page, translator } = x86(0x5000n | P | G);
    assert.deepEqual(page(0, ACCESS.write), { at: -1, sizeBits: 0, accesses: 0, global: false });
    assert.equal(translator.fault.errorCode, 3);
  });

  it('T8: global is what the leaf says, while CR4.PGE is set', () => {
    assert.equal(x86(0x5000n | P | G).page(0).global, true);
    assert.equal(x86(0x5000n | P).page(0).global, false);
    assert.equal(x86(0x5000n | P | G, { pge: false }).page(0).global, false);
  });

  it('T1 T8: global pages are those of the bit that the format names, in either half of an entry, or none', () => {
    const others = X86_4LEVEL.attributes.filter(({ attribute }) => attribute !== 'global');
    const moved: PagingFormat = {
      ...X86_4LEVEL,
      attributes: [...others, { attribute: 'global', from: 52, bits: 1 }],
    };
    const none: PagingFormat = { ...X86_4LEVEL, attributes: others };
    const tables = [0x2000n | TABLE, 0x3000n | TABLE, 0x4000n | TABLE];
    const global = (format: PagingFormat, bits: bigint): boolean =>
      machine(format, tables, 0x5000n | P | bits).page(0).global;
    assert.equal(global(moved, 1n << 52n), true);
    assert.equal(global(moved, G | (1n << 20n) | (1n << 53n)), false);
    assert.equal(global(none, G | (1n << 52n)), false);
  });

  it('T3 T8: what a protection key forbids is not let through, execution excepted', () => {
    const user = 0x5000n | P | W | U | A | D | KEY_1;
    const accesses = (leaf: bigint, controls: PagingControls): number =>
      x86(leaf, controls).page(0, ACCESS.execute).accesses;
    // PKRU bits 3:2 are WD and AD of key 1.
    assert.equal(accesses(user, { pku: true, pkru: 0b0100 }), EXECUTES);
    assert.equal(accesses(user, { pku: true, pkru: 0b1000 }), EVERYTHING & ~WRITES);
    assert.equal(
      accesses(user, { pku: true, pkru: 0b1000, wp: false }),
      EVERYTHING & ~(WRITES & ~SUPERVISOR),
    );
    assert.equal(accesses(user, { pku: true, pkru: 0b0011 }), EVERYTHING, 'key 0 is another');
    assert.equal(accesses(user, { pks: true, pkrs: 0b0100 }), EVERYTHING, 'PKRS is for supervisor pages');
    assert.equal(accesses(user & ~U, { pks: true, pkrs: 0b0100 }), EXECUTES & SUPERVISOR);
    assert.equal(accesses(user & ~W, { pku: true, pkru: 0 }), EVERYTHING & ~WRITES, 'rights count as before');
  });

  it('T4 T8: a write that would have to mark the page has to come here again', () => {
    const { page, memory } = x86(0x5000n | P | W | U, { accessedDirty: 'update' });
    assert.equal(page(0).accesses, EVERYTHING & ~WRITES);
    assert.equal(page(0, ACCESS.write).accesses, EVERYTHING);
    assert.equal(memory.readU64(0x4000), 0x5000n | P | W | U | A | D);
    assert.equal(page(0).accesses, EVERYTHING, 'it was marked before');
  });

  it('T4 T8: on Arm such a page has AP[2] set beside DBM', () => {
    // EL1's, not to be executed: page, AF, AP[2], PXN, UXN, DBM.
    const leaf = 0x5000n | 0b11n | (1n << 10n) | (1n << 7n) | (0b11n << 53n) | (1n << 51n);
    const format = aarch64Stage1Format({ granule: 4096, inputBits: 30 });
    const controls = { accessedDirty: 'update', hd: true } as const;
    const { page, memory } = machine(format, [0x2003n], leaf, controls);
    assert.equal(page(0).accesses, READS & SUPERVISOR);
    assert.equal(page(0, ACCESS.write).accesses, (READS | WRITES) & SUPERVISOR);
    assert.equal(memory.readU64(0x2000), leaf & ~(1n << 7n));
  });

  it('T4 T8: with Svade, what would fault for want of a mark is not let through', () => {
    // V, R, W, X; then A, and D. A page for supervisor mode, at 20 GiB: page numbers stand at bit 10.
    const leaf = (0x5_0000_0000n >> 2n) | 0b1111n;
    const tables = [(0x2000n >> 2n) | 1n, (0x3000n >> 2n) | 1n];
    const svade = (marks: bigint): WalkedPage & { readonly at: number } =>
      machine(RISCV_SV39, tables, leaf | marks, { accessedDirty: 'fault' }).page(0x456);
    assert.deepEqual(svade(0xc0n), {
      at: 0x5_0000_0456,
      sizeBits: 12,
      accesses: EVERYTHING & SUPERVISOR,
      global: false,
    });
    assert.equal(svade(0x40n).accesses, (READS | EXECUTES) & SUPERVISOR);
    assert.equal(svade(0n).at, -1);
    // Bit 31 of the entry is bit 33 of the address: a sign, where numbers have one.
    const far = (0x2_0000_0000n >> 2n) | 0xcfn;
    const high = machine(RISCV_SV39, tables, far, { accessedDirty: 'fault' });
    assert.equal(high.page(0).accesses, EVERYTHING & SUPERVISOR, 'at 8 GiB as well');
    const tlb = new Tlb(high.translator);
    assert.equal(tlb.resolve(0, 0, ACCESS.read), 0x2_0000_0000);
    high.memory.fillAt(0, 0, 0x8000);
    assert.equal(tlb.resolve(0, 0, ACCESS.read), 0x2_0000_0000, 'which a TLB then keeps');
  });

  it('T5: whose page it was', () => {
    const isUser = (leaf: bigint): boolean => {
      const { translator, page } = x86(leaf);
      page(0);
      return translator.pageIsUser;
    };
    assert.equal(isUser(0x5000n | P | U), true);
    assert.equal(isUser(0x5000n | P), false);
    const never = new Translator({ memory: GuestMemory.allocate(0x1000), format: X86_4LEVEL, root: 0 });
    assert.throws(() => never.pageIsUser, RangeError, 'of no page, nothing is said');
  });
});
