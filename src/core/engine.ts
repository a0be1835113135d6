/** What is known of the engine. */

/** The part of Node's Buffer that is used, where there is one. */
interface BufferMethods {
  copy(this: Uint8Array, target: Uint8Array, targetStart: number, start: number, end: number): number;
  fill(this: Uint8Array, value: Uint8Array, start: number, end: number): Uint8Array;
}

const runtime = globalThis as {
  Buffer?: { readonly prototype: BufferMethods };
  process?: { readonly versions?: Readonly<Record<string, string | undefined>> };
  Deno?: unknown;
};

const versions = runtime.process?.versions;

/** Node's major version; 0 in Bun, Deno and browsers, where typed arrays have no such penalty or there is no Buffer. */
export const nodeMajor: number =
  versions?.['bun'] === undefined && runtime.Deno === undefined
    ? Number.parseInt(versions?.['node'] ?? '0', 10)
    : 0;

export const buffer: BufferMethods | undefined = nodeMajor > 0 ? runtime.Buffer?.prototype : undefined;

/** V8 copies an element of a BigUint64Array as 8 bytes; JavaScriptCore makes a bigint of it, and takes 60 ns. */
export const unboxedWords: boolean = versions?.['v8'] !== undefined && versions['bun'] === undefined;
