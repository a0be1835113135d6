// npm run build: what `npm start` and `npm test` do first.
import { prepare } from './lib/prepare.mjs';
import { main } from './lib/say.mjs';

await main(prepare);
