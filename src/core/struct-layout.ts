import { GuestMemoryError } from './errors.ts';
import type { Infer, Layout } from './layout.ts';

/** The fields of a struct, in order: name and layout. */
export type StructFields = Readonly<Record<string, Layout<unknown>>>;

/** The value of a struct: one property per field. */
export type StructValue<F extends StructFields> = { -readonly [K in keyof F]: Infer<F[K]> };

/** A struct's layout; `fields` says where each field lies, so that one can be read or written in place. */
export interface StructLayout<F extends StructFields> extends Layout<StructValue<F>> {
  readonly fields: { readonly [K in keyof F]: { readonly offset: number; readonly type: F[K] } };
  /** Offset of a field in bytes from the start of the struct. */
  offsetOf(field: keyof F & string): number;
}

/**
 * A C struct: fields in the order given, each at its natural alignment, the whole padded to the largest one
 * (or, `packed`, without any padding). Padding is written as zeros.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, struct, u16, u32, u64 } from 'guestmem';
 *
 * const descriptor = struct({ addr: u64, len: u32, flags: u16, next: u16 });
 * const memory = GuestMemory.allocate(4096);
 * memory.writePlain(descriptor, 0x10, { addr: 0x1000n, len: 512, flags: 1, next: 3 });
 * assert.equal(memory.readPlain(descriptor, 0x10).len, 512);
 * assert.equal(memory.readU16(0x10 + descriptor.offsetOf('next')), 3);
 * ```
 */
export function struct<const F extends StructFields>(
  fields: F,
  options: { packed?: boolean } = {},
): StructLayout<F> {
  const placed: Record<string, { offset: number; type: Layout<unknown> }> = {};
  let size = 0;
  let align = 1;
  for (const [name, type] of Object.entries(fields)) {
    const fieldAlign = options.packed === true ? 1 : type.align;
    size = roundUp(size, fieldAlign);
    placed[name] = Object.freeze({ offset: size, type });
    size += type.size;
    align = Math.max(align, fieldAlign);
  }
  const packedSize = size;
  size = roundUp(size, align);
  const entries = Object.entries(placed);
  return Object.freeze({
    name: `struct { ${Object.keys(fields).join(', ')} }`,
    size,
    align,
    fields: Object.freeze(placed) as StructLayout<F>['fields'],
    offsetOf(field: keyof F & string): number {
      const found = Object.hasOwn(placed, field) ? placed[field] : undefined;
      if (found === undefined) throw noField(field, Object.keys(placed));
      return found.offset;
    },
    decode(view: DataView, offset: number): StructValue<F> {
      const value: Record<string, unknown> = {};
      for (const [name, field] of entries) value[name] = field.type.decode(view, offset + field.offset);
      return value as StructValue<F>;
    },
    encode(view: DataView, offset: number, value: StructValue<F>): void {
      if (packedSize !== size || align > 1) zero(view, offset, size);
      const source: Readonly<Record<string, unknown>> = value;
      for (const [name, field] of entries) field.type.encode(view, offset + field.offset, source[name]);
    },
  });
}

/**
 * `count` values of one layout, one after another.
 *
 * @throws GuestMemoryError `invalid` unless `count` is a whole number of at least 0
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { array, GuestMemory, u16 } from 'guestmem';
 *
 * const memory = GuestMemory.allocate(4096);
 * memory.writePlain(array(u16, 3), 0, [1, 2, 3]);
 * assert.deepEqual(memory.readPlain(array(u16, 3), 0), [1, 2, 3]);
 * ```
 */
export function array<T>(type: Layout<T>, count: number): Layout<T[]> {
  checkCount(count);
  return Object.freeze({
    name: `${type.name}[${count}]`,
    size: type.size * count,
    align: type.align,
    decode(view: DataView, offset: number): T[] {
      return Array.from({ length: count }, (_, i) => type.decode(view, offset + i * type.size));
    },
    encode(view: DataView, offset: number, values: T[]): void {
      if (values.length !== count) throw wrongLength(`${type.name}[${count}]`, values.length, count);
      // By index, for forEach leaves out what a sparse array does not have, and the bytes there would be anybody's.
      for (let i = 0; i < count; i++) type.encode(view, offset + i * type.size, values[i] as T);
    },
  });
}

/**
 * `count` bytes as they are; a shorter value is refused, so that nothing of what was there before stays behind.
 *
 * @throws GuestMemoryError `invalid` unless `count` is a whole number of at least 0
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { bytesField, struct, u8 } from 'guestmem';
 *
 * const mac = struct({ address: bytesField(6), flags: u8 });
 * assert.equal(mac.size, 7);
 * ```
 */
export function bytesField(count: number): Layout<Uint8Array> {
  checkCount(count);
  return Object.freeze({
    name: `bytes[${count}]`,
    size: count,
    align: 1,
    decode: (view: DataView, offset: number): Uint8Array =>
      new Uint8Array(view.buffer, view.byteOffset + offset, count).slice(),
    encode(view: DataView, offset: number, value: Uint8Array): void {
      if (value.length !== count) throw wrongLength(`bytes[${count}]`, value.length, count);
      new Uint8Array(view.buffer, view.byteOffset + offset, count).set(value);
    },
  });
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

function zero(view: DataView, offset: number, size: number): void {
  new Uint8Array(view.buffer, view.byteOffset + offset, size).fill(0);
}

function checkCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new GuestMemoryError('invalid', `current count ${count}, wanted a whole number of at least 0`, {
      operation: 'make a layout',
    });
  }
}

function wrongLength(name: string, current: number, wanted: number): GuestMemoryError {
  return new GuestMemoryError('invalid', `current length ${current}, wanted ${wanted}`, {
    operation: `encode ${name}`,
  });
}

function noField(field: string, names: readonly string[]): GuestMemoryError {
  return new GuestMemoryError('invalid', `no field "${field}", wanted one of ${names.join(', ')}`, {
    operation: 'find a field',
  });
}
