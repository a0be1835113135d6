/** Pairs that are being compared further out: a cycle in one has to be a cycle in the other. @typedef {Map<object, object>} Open */

/**
 * Whether two values are deeply equal as node:assert/strict means it.
 *
 * @param {unknown} a
 * @param {unknown} b
 * @param {Open} [open]
 * @returns {boolean}
 */
export function sameDeep(a, b, open = new Map()) {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b) || tag(a) !== tag(b)) return false;
  const around = open.get(a);
  if (around !== undefined) return around === b;
  open.set(a, b);
  try {
    return sameInside(a, b, open) && sameProperties(a, b, open);
  } finally {
    open.delete(a);
  }
}

/**
 * @param {unknown} value
 * @returns {value is object} a function is equal to itself only
 */
function isObject(value) {
  return typeof value === 'object' && value !== null;
}

/** @param {object} value */
function tag(value) {
  return Object.prototype.toString.call(value);
}

/**
 * What is not a property: the time of a date, the elements of a set.
 *
 * @param {object} a
 * @param {object} b of the same prototype
 * @param {Open} open
 * @returns {boolean}
 */
function sameInside(a, b, open) {
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length;
  if (ArrayBuffer.isView(a)) return ArrayBuffer.isView(b) && sameBytes(bytesOf(a), bytesOf(b));
  if (isBuffer(a)) return isBuffer(b) && sameBytes(new Uint8Array(a), new Uint8Array(b));
  if (a instanceof Date) return b instanceof Date && Object.is(a.getTime(), b.getTime());
  if (a instanceof RegExp)
    return b instanceof RegExp && String(a) === String(b) && a.lastIndex === b.lastIndex;
  if (a instanceof Error) {
    return (
      b instanceof Error &&
      a.message === b.message &&
      a.name === b.name &&
      sameOwn(a, b, 'cause', open) &&
      sameOwn(a, b, 'errors', open)
    );
  }
  if (a instanceof Set) return b instanceof Set && sameElements([...a], [...b], open);
  if (a instanceof Map) return b instanceof Map && sameElements([...a], [...b], open);
  for (const Boxed of [Number, String, Boolean, BigInt, Symbol]) {
    if (a instanceof Boxed) return b instanceof Boxed && Object.is(a.valueOf(), b.valueOf());
  }
  return true;
}

/**
 * @param {object} a
 * @param {object} b
 * @param {string} key of a property that is not enumerable
 * @param {Open} open
 */
function sameOwn(a, b, key, open) {
  if (Object.hasOwn(a, key) !== Object.hasOwn(b, key)) return false;
  return sameDeep(Reflect.get(a, key), Reflect.get(b, key), open);
}

/**
 * @param {object} value
 * @returns {value is ArrayBufferLike}
 */
function isBuffer(value) {
  return (
    value instanceof ArrayBuffer ||
    (typeof SharedArrayBuffer !== 'undefined' && value instanceof SharedArrayBuffer)
  );
}

/** @param {ArrayBufferView} view */
function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function sameBytes(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/**
 * In any order; entries of a map are pairs.
 *
 * @param {unknown[]} a
 * @param {unknown[]} b
 * @param {Open} open
 */
function sameElements(a, b, open) {
  if (a.length !== b.length) return false;
  const left = [...b];
  return a.every((element) => {
    const at = left.findIndex((other) => sameDeep(element, other, open));
    if (at < 0) return false;
    left.splice(at, 1);
    return true;
  });
}

/**
 * Own enumerable properties, symbols too. The elements of a typed array were compared as bytes.
 *
 * @param {object} a
 * @param {object} b
 * @param {Open} open
 */
function sameProperties(a, b, open) {
  const keys = propertiesOf(a);
  const others = new Set(propertiesOf(b));
  return (
    keys.length === others.size &&
    keys.every((key) => others.has(key) && sameDeep(Reflect.get(a, key), Reflect.get(b, key), open))
  );
}

/** @param {object} value */
function propertiesOf(value) {
  const indexed = ArrayBuffer.isView(value) && !(value instanceof DataView);
  return Reflect.ownKeys(value).filter(
    (key) =>
      !(indexed && typeof key === 'string' && /^\d+$/.test(key)) &&
      Object.prototype.propertyIsEnumerable.call(value, key),
  );
}
