import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import type { BenchCase } from '../harness/measurement.ts';

const RUNS = 15;
const CORE = import.meta.resolve('guestmem');

/** Milliseconds from the first statement of a fresh process until the package is there. */
function importTime(): number {
  const program = `
    const start = performance.now();
    await import(${JSON.stringify(CORE)});
    console.log(performance.now() - start);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }));
}

/** Kilobytes that a bundler leaves of a module, minified and compressed. */
async function weight(contents: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  });
  return gzipSync(outputFiles[0]?.contents ?? new Uint8Array(), { level: 9 }).length / 1000;
}

const benchCase: BenchCase = {
  id: 'p12',
  title: 'Weight of the core',
  measurements: [
    {
      name: "time to import 'guestmem'",
      budget: { figure: 'ms', atMost: 15 },
      prepare: () => ({ probe: () => Math.min(...Array.from({ length: RUNS }, importTime)) }),
    },
    {
      name: 'size of every export of the core, min+gzip',
      budget: { figure: 'kB', atMost: 20 },
      prepare: () => ({ probe: () => weight(`export * from ${JSON.stringify(fileURLToPath(CORE))}`) }),
    },
    {
      name: 'size of GuestMemory and AtomicAddressSpace alone',
      budget: { figure: 'kB', atMost: 20 },
      prepare: () => ({
        probe: () =>
          weight(`export { GuestMemory, AtomicAddressSpace } from ${JSON.stringify(fileURLToPath(CORE))}`),
      }),
    },
  ],
};

export default benchCase;
