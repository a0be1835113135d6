// The page of one test file, which its address names after the question mark: loads it, runs it, hands the report over.
import { runTests } from './node-test.mjs';
import { show } from './show.mjs';

const STRAY_MS = 20;

/** What nobody caught, and what the file as a whole lacks. @type {string[]} */
const stray = [];
addEventListener('error', (event) => {
  stray.push(show(event.error ?? event.message));
});
addEventListener('unhandledrejection', ({ reason }) => {
  stray.push(show(reason));
});

if (!crossOriginIsolated) stray.push('The page is not cross-origin isolated: it cannot share memory');

const file = location.search.slice(1);
let loads = true;
try {
  await import(file);
} catch (error) {
  loads = false;
  stray.push(`${file} does not load: ${show(error)}`);
}

/** @type {import('../lib/report.mjs').Report} */
const report = loads ? await runTests() : { passed: 0, failed: [], skipped: [], diagnostics: [] };
// What a callback of the last test throws, or a promise that nobody awaited, comes some turns later.
await new Promise((resolve) => setTimeout(resolve, STRAY_MS));
for (const why of stray) report.failed.push({ name: 'the file', why });
if (report.passed + report.failed.length + report.skipped.length === 0)
  report.failed.push({ name: 'the file', why: 'The file has no tests' });

// Put there by scripts/lib/chromium.mjs.
Reflect.get(globalThis, 'guestmemReport')(report);
