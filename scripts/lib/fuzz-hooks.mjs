const LONGER = new URL('./fuzz-properties.mjs', import.meta.url).href;

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  // The stand-in itself needs the real one.
  if (specifier !== 'fast-check' || context.parentURL === LONGER) return next(specifier, context);
  return { url: LONGER, shortCircuit: true };
}
