/** Page tables for AArch64 as nobody would build them: every descriptor is at random, so that each rule is met, alone and with others. */

/** One half of an address space. */
export interface AArch64Shape {
  /** Bits of the granule. */
  readonly granule: 12 | 14 | 16;
  /** T0SZ or T1SZ. */
  readonly tsz: number;
}

/** Tables that lie one after the other from `gpa` on, each as large as the granule; the first one is the root. */
export interface RandomDescriptors {
  readonly gpa: number;
  readonly descriptors: BigUint64Array;
}

type Choose = (below: number) => number;

const TABLES_PER_LEVEL = 6;

/** How many levels a half has, and how many bits of an address the root resolves. */
export function levelsOf({ granule, tsz }: AArch64Shape): { levels: number; rootBits: number } {
  const bits = 64 - tsz - granule;
  const stride = granule - 3;
  return { levels: Math.ceil(bits / stride), rootBits: ((bits - 1) % stride) + 1 };
}

/**
 * @param wide whether addresses have 52 bits: then blocks may be one level higher. QEMU 7.2 takes a block at any level, so there are none
 * where there must not be one.
 * @param choose a reproducible source of choices, of numbers below the given one.
 */
export function randomDescriptors(
  shape: AArch64Shape,
  wide: boolean,
  gpa: number,
  choose: Choose,
): RandomDescriptors {
  const firstBlocks = (shape.granule === 12 ? 1 : 2) - (wide ? 1 : 0);
  // With 64 KiB and addresses of 48 bits QEMU does not look at bits 15:12, which are of the address all the same (FEAT_LPA).
  const looked = shape.granule === 16 && !wide ? ~0xf000n : -1n;
  const { levels } = levelsOf(shape);
  const size = 2 ** shape.granule;
  const descriptors = new BigUint64Array((levels * TABLES_PER_LEVEL * size) / 8);
  for (let index = 0; index < descriptors.length; index++) {
    const depth = Math.floor((index * 8) / size / TABLES_PER_LEVEL);
    const last = depth === levels - 1;
    const dice = choose(100);
    if (dice < 6) descriptors[index] = anything(choose) & ~1n;
    else if (!last && (dice < 80 || depth + 4 - levels < firstBlocks)) {
      const lower = (depth + 1) * TABLES_PER_LEVEL + choose(TABLES_PER_LEVEL);
      descriptors[index] = table(gpa + lower * size, choose);
    } else descriptors[index] = leaf(last, choose) & looked;
  }
  return { gpa, descriptors };
}

function anything(choose: Choose): bigint {
  return (BigInt(choose(2 ** 32)) << 32n) | BigInt(choose(2 ** 32));
}

/** Now and then one that takes rights away from all below (bits 62:59), is not in RAM, or has bits set that are not looked at. */
function table(to: number, choose: Choose): bigint {
  const address = choose(60) === 0 ? BigInt(to) | (1n << BigInt(40 + choose(8))) : BigInt(to);
  const hierarchy = choose(5) === 0 ? 1n << BigInt(59 + choose(4)) : 0n;
  const ignored = choose(5) === 0 ? anything(choose) & 0x078_0000_0000_0000n : 0n;
  return address | hierarchy | ignored | 3n;
}

/**
 * A page or a block with anything in it; mostly an address that is not too large, and the access flag mostly set. Sometimes the type
 * is that of the other one.
 */
function leaf(last: boolean, choose: Choose): bigint {
  const type = (choose(30) === 0) !== last ? 3n : 1n;
  // What is a table then is nowhere.
  const nowhere = type === 3n && !last ? 1n << 40n : 0n;
  // Bits 49:48 and 15:12, which are ignored, of the address, or high bits of it, as the form of the tables has it.
  const high = choose(10) === 0 ? 1n << BigInt(choose(2) === 0 ? 12 + choose(4) : 44 + choose(6)) : 0n;
  const address = anything(choose) & 0x7f_ffff_f000n & ~0xf000n;
  const flags = anything(choose) & 0xfff8_0000_0000_03fcn;
  // Bits 9:8 are of the address in tables of 52 bits.
  const wide = choose(3) === 0 ? flags : flags & ~0x300n;
  return (
    type | address | nowhere | high | wide | (choose(6) > 0 ? 0x400n : 0n) | (choose(2) === 0 ? 0x800n : 0n)
  );
}

/** An address of that half, mostly. */
export function aarch64Address({ tsz }: AArch64Shape, upper: boolean, choose: Choose): bigint {
  const address = anything(choose);
  const dice = choose(30);
  if (dice === 0) return address;
  const inside =
    BigInt.asUintN(64 - tsz, address) | (upper ? BigInt.asUintN(64, -1n << BigInt(64 - tsz)) : 0n);
  // A tag in the top byte, or a bit between.
  if (dice === 1) return inside ^ (BigInt(choose(256)) << 56n);
  if (dice === 2) return inside ^ (1n << BigInt(64 - choose(tsz) - 1));
  return inside;
}
