/** What is longer says no more to a reader. */
const LIMIT = 2000;

/**
 * A value as text for a person, on one line as far as it goes.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function show(value) {
  const text = plain(value, new Set());
  return text.length <= LIMIT ? text : `${text.slice(0, LIMIT)}...`;
}

/**
 * @param {unknown} value
 * @param {Set<object>} around what it stands in
 * @returns {string}
 */
function plain(value, around) {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Object.is(value, -0)) return '-0';
  if (typeof value === 'function') return `[function ${value.name}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Error) return facts(value, value.stack ?? String(value), around);
  if (around.has(value)) return '[itself]';
  around.add(value);
  try {
    if (Array.isArray(value))
      return `[${value
        .slice(0, LIMIT)
        .map((item) => plain(item, around))
        .join(', ')}]`;
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
      return `${value.constructor.name} [${Array.prototype.slice.call(value, 0, LIMIT).join(', ')}]`;
    if (value instanceof Map || value instanceof Set)
      return `${value.constructor.name} ${plain([...value].slice(0, LIMIT), around)}`;
    return facts(value, '', around);
  } finally {
    around.delete(value);
  }
}

/**
 * @param {object} value
 * @param {string} head
 * @param {Set<object>} around
 */
function facts(value, head, around) {
  const fields = Object.entries(value)
    .slice(0, 50)
    .map(([key, field]) => `${key}: ${plain(field, around)}`);
  const body = fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
  if (head === '') return body;
  return fields.length === 0 ? head : `${head} ${body}`;
}
