// Module hooks, registered by scripts/lib/mutants/plugin.mjs: tests that import node:test get the collector beside this file.
const COLLECTOR = new URL('./node-test.mjs', import.meta.url).href;

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, nextResolve) {
  return specifier === 'node:test' ? { url: COLLECTOR, shortCircuit: true } : nextResolve(specifier, context);
}
