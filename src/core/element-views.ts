interface ElementArray<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}

/**
 * The elements that a view's bytes lie in, from the multiple of 8 at or before its first byte on. A tail that fills no
 * element is left out: no aligned scalar lies there.
 */
export function elements<T>(type: ElementArray<T>, view: Uint8Array): T {
  const skew = view.byteOffset % 8;
  return new type(
    view.buffer,
    view.byteOffset - skew,
    Math.floor((view.byteLength + skew) / type.BYTES_PER_ELEMENT),
  );
}
