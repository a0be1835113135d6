// npm run demo:qemu: installs, builds and runs the demonstration on a real Linux in QEMU.
import path from 'node:path';
import { ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { run } from './lib/run.mjs';
import { main } from './lib/say.mjs';

await main(async () => {
  await prepare();
  const { status } = await run(process.execPath, [path.join(ROOT, 'dist/test/real/demo-qemu.js')], {
    show: true,
  });
  return status;
});
