/** What JSON output is made of: a bigint is printed as a `0x` hex string. */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** One value as indented JSON text. */
export function jsonText(value: JsonValue): string {
  return JSON.stringify(value, hexBigints, 2);
}

/** An array as JSON text, one item a line, made as it is read: a listing of any length needs no room of its own. */
export function* jsonArray(items: Iterable<JsonValue>): Generator<string> {
  let line = '';
  for (const item of items) {
    yield line === '' ? '[' : `${line},`;
    line = `  ${JSON.stringify(item, hexBigints)}`;
  }
  if (line === '') {
    yield '[]';
    return;
  }
  yield line;
  yield ']';
}

function hexBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
}
