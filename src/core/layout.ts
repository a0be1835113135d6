/** How a value of type `T` lies in memory: its size, its alignment, and the way between bytes and value. */
export interface Layout<T> {
  readonly name: string;
  /** Bytes the value takes. */
  readonly size: number;
  /** Natural alignment in bytes, a power of two. */
  readonly align: number;
  /** The value of the bytes from `offset` on. */
  decode(view: DataView, offset: number): T;
  /** Stores the bytes of a value from `offset` on. */
  encode(view: DataView, offset: number, value: T): void;
}

/** The value type of a layout: `Infer<typeof header>`. */
export type Infer<L> = L extends Layout<infer T> ? T : never;

/** A number of 1, 2, 4 or 8 bytes. */
export interface ScalarType<T extends number | bigint> extends Layout<T> {
  readonly kind: 'integer' | 'float';
  readonly size: 1 | 2 | 4 | 8;
  readonly littleEndian: boolean;
}

/** A scalar that the atomic operations take. */
export interface IntegerType<T extends number | bigint> extends ScalarType<T> {
  readonly kind: 'integer';
  /** The value is the bits as they are (unsigned, little-endian): atomics then need no decoding. */
  readonly raw?: boolean;
}

type NumberName = 'Uint8' | 'Int8' | 'Uint16' | 'Int16' | 'Uint32' | 'Int32' | 'Float32' | 'Float64';

function numberType<K extends 'integer' | 'float'>(
  name: string,
  kind: K,
  size: 1 | 2 | 4 | 8,
  element: NumberName,
  littleEndian: boolean,
): ScalarType<number> & { readonly kind: K; readonly raw: boolean } {
  const get = DataView.prototype[`get${element}`];
  const set = DataView.prototype[`set${element}`];
  return Object.freeze({
    name,
    kind,
    size,
    align: size,
    littleEndian,
    raw: littleEndian && element.startsWith('Uint'),
    decode: (view: DataView, offset: number): number => get.call(view, offset, littleEndian),
    encode: (view: DataView, offset: number, value: number): void =>
      set.call(view, offset, value, littleEndian),
  });
}

function bigintType(name: string, signed: boolean, littleEndian: boolean): IntegerType<bigint> {
  const get = signed ? DataView.prototype.getBigInt64 : DataView.prototype.getBigUint64;
  return Object.freeze({
    name,
    kind: 'integer' as const,
    size: 8 as const,
    align: 8,
    littleEndian,
    raw: littleEndian && !signed,
    decode: (view: DataView, offset: number): bigint => get.call(view, offset, littleEndian),
    // Both setters store the value modulo 2^64.
    encode: (view: DataView, offset: number, value: bigint): void =>
      view.setBigUint64(offset, value, littleEndian),
  });
}

/** Unsigned 8-bit integer. */
export const u8: IntegerType<number> = numberType('u8', 'integer', 1, 'Uint8', true);
/** Unsigned 16-bit integer, little-endian. */
export const u16: IntegerType<number> = numberType('u16', 'integer', 2, 'Uint16', true);
/** Unsigned 32-bit integer, little-endian. */
export const u32: IntegerType<number> = numberType('u32', 'integer', 4, 'Uint32', true);
/** Unsigned 64-bit integer, little-endian, as a bigint. */
export const u64: IntegerType<bigint> = bigintType('u64', false, true);
/** Signed 8-bit integer. */
export const i8: IntegerType<number> = numberType('i8', 'integer', 1, 'Int8', true);
/** Signed 16-bit integer, little-endian. */
export const i16: IntegerType<number> = numberType('i16', 'integer', 2, 'Int16', true);
/** Signed 32-bit integer, little-endian. */
export const i32: IntegerType<number> = numberType('i32', 'integer', 4, 'Int32', true);
/** Signed 64-bit integer, little-endian, as a bigint. */
export const i64: IntegerType<bigint> = bigintType('i64', true, true);
/** IEEE 754 single, little-endian. */
export const f32: ScalarType<number> = numberType('f32', 'float', 4, 'Float32', true);
/** IEEE 754 double, little-endian. */
export const f64: ScalarType<number> = numberType('f64', 'float', 8, 'Float64', true);

/** Unsigned 16-bit integer, big-endian. */
export const u16be: IntegerType<number> = numberType('u16be', 'integer', 2, 'Uint16', false);
/** Unsigned 32-bit integer, big-endian. */
export const u32be: IntegerType<number> = numberType('u32be', 'integer', 4, 'Uint32', false);
/** Unsigned 64-bit integer, big-endian, as a bigint. */
export const u64be: IntegerType<bigint> = bigintType('u64be', false, false);
/** Signed 16-bit integer, big-endian. */
export const i16be: IntegerType<number> = numberType('i16be', 'integer', 2, 'Int16', false);
/** Signed 32-bit integer, big-endian. */
export const i32be: IntegerType<number> = numberType('i32be', 'integer', 4, 'Int32', false);
/** Signed 64-bit integer, big-endian, as a bigint. */
export const i64be: IntegerType<bigint> = bigintType('i64be', true, false);
/** IEEE 754 single, big-endian. */
export const f32be: ScalarType<number> = numberType('f32be', 'float', 4, 'Float32', false);
/** IEEE 754 double, big-endian. */
export const f64be: ScalarType<number> = numberType('f64be', 'float', 8, 'Float64', false);
