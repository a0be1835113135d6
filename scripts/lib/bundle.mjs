import { rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { readPackage } from './package.mjs';
import { ROOT } from './paths.mjs';

/**
 * Puts each face of the package into one file, and what several of them share into chunks beside it: the 56 modules of
 * the core take 20 ms and more to load one by one, its bundle 3. Types and what the tests run stay as compiled.
 */
export async function bundleFaces() {
  const outdir = path.join(ROOT, 'dist/lib');
  // The chunks are named by their contents: old ones would stay for ever.
  rmSync(outdir, { recursive: true, force: true });
  /** @type {Record<string, string>} */
  const entryPoints = {};
  for (const target of Object.values(readPackage(ROOT).exports)) {
    if (typeof target === 'string') continue;
    entryPoints[path.basename(target.default, '.js')] = path.join(
      ROOT,
      target.types.replace(/\.d\.ts$/, '.js'),
    );
  }
  await build({
    entryPoints,
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    packages: 'external',
    external: ['node:*'],
    sourcemap: true,
    logLevel: 'warning',
  });
}
