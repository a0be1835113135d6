// npm start: installs, builds and runs the demonstration on the built-in guest. Arguments go to it.
import path from 'node:path';
import { ROOT } from './lib/paths.mjs';
import { prepare } from './lib/prepare.mjs';
import { run } from './lib/run.mjs';
import { main } from './lib/say.mjs';

await main(async () => {
  await prepare();
  const command = path.join(ROOT, 'dist/src/cli/main.js');
  const { status } = await run(process.execPath, [command, 'demo', ...process.argv.slice(2)], { show: true });
  return status;
});
