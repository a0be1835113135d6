/** Runs `fn` with globals replaced, or taken away where a value is `undefined`, and puts them back. */
export async function withGlobals<T>(
  globals: Readonly<Record<string, unknown>>,
  fn: () => T | Promise<T>,
): Promise<T> {
  const saved = Object.keys(globals).map(
    (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
  );
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  try {
    return await fn();
  } finally {
    for (const [name, descriptor] of saved) {
      if (descriptor === undefined) Reflect.deleteProperty(globalThis, name);
      else Object.defineProperty(globalThis, name, descriptor);
    }
  }
}

/** Engines as the core tells them apart when it is loaded. */
export const ENGINES: readonly {
  readonly name: string;
  readonly globals: Readonly<Record<string, unknown>>;
}[] = [
  { name: 'a browser', globals: { Buffer: undefined, process: undefined } },
  { name: 'Node 20', globals: { process: { versions: { node: '20.20.2' } }, Deno: undefined } },
  { name: 'Node 24', globals: { process: { versions: { node: '24.1.0' } }, Deno: undefined } },
  { name: 'Bun', globals: { process: { versions: { node: '24.0.0', bun: '1.4.4' } } } },
];
