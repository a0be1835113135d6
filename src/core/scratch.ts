/**
 * Eight bytes through which a scalar passes between memory and JavaScript's numbers, under every view it may be
 * looked at. One per thread is enough, for nothing here outlives the statement that uses it.
 *
 * A 64-bit value is fetched by one element copy, `scratch.u64[0] = memory64[i]`, which compiles to one 8-byte load
 * and never tears on the engines tried (SPEC M5), and is then used as two halves: 3.5 ns, where `Number(bigint)`
 * takes 20 and `Atomics.load` 9 to 15.
 */
const buffer = new ArrayBuffer(8);

export const scratch: {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly view: DataView;
} = {
  u8: new Uint8Array(buffer),
  u16: new Uint16Array(buffer),
  u32: new Uint32Array(buffer),
  u64: new BigUint64Array(buffer),
  f32: new Float32Array(buffer),
  f64: new Float64Array(buffer),
  i64: new BigInt64Array(buffer),
  view: new DataView(buffer),
};
