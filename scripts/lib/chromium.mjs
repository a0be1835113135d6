import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serveTests } from './chromium-server.mjs';
import { ROOT } from './paths.mjs';
import { Stop } from './say.mjs';
import { reportText } from './test-file.mjs';

/**
 * @typedef {import('./report.mjs').Report} Report
 * @typedef {import('./test-file.mjs').Result} Result
 * @typedef {import('playwright-core').Browser} Browser
 *
 * @typedef {object} Chromium
 * @property {string} version
 * @property {(file: string, options: { timeoutMs: number }) => Promise<Result>} runTestFile
 *   runs one test file in a page and processes of its own
 * @property {() => Promise<void>} close
 */

/** Debian's, or the one that CHROME_BIN names. */
const PROGRAM = process.env['CHROME_BIN'] ?? '/usr/bin/chromium';

const FLAGS = [
  // In a container, root has no namespaces to build the sandbox of; the pages are our own.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @returns {string | undefined} why there is no Chromium here, if there is none */
export function whyNoChromium(program = PROGRAM) {
  return existsSync(program) ? undefined : `needs ${program}: install Debian's chromium, or set CHROME_BIN`;
}

/**
 * Starts Chromium, and the server of its pages.
 *
 * @param {string} [root] the project whose tests are run
 * @returns {Promise<Chromium>}
 */
export async function startChromium(root = ROOT) {
  const server = await serveTests(root);
  try {
    const browser = await chromium.launch({ executablePath: PROGRAM, headless: true, args: FLAGS });
    return {
      version: browser.version(),
      runTestFile: (file, { timeoutMs }) => runInPage(browser, server.origin, file, timeoutMs),
      close: async () => {
        await browser.close();
        await server.close();
      },
    };
  } catch (error) {
    await server.close();
    throw new Stop(`Cannot start ${PROGRAM}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * @param {Browser} browser
 * @param {string} origin
 * @param {string} file relative to the project
 * @param {number} timeoutMs
 * @returns {Promise<Result>}
 */
async function runInPage(browser, origin, file, timeoutMs) {
  const start = performance.now();
  // A context of its own gives the page processes of its own: one that hangs holds up nobody.
  const context = await browser.newContext();
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  try {
    const page = await context.newPage();
    /** @type {string[]} */
    const said = [];
    page.on('console', (message) => said.push(message.text()));
    /** @type {Report} */
    const report = await new Promise((resolve) => {
      /** @param {string} why */
      const fail = (why) =>
        resolve({ passed: 0, failed: [{ name: 'the file', why }], skipped: [], diagnostics: [] });
      timer = setTimeout(() => fail(`Stopped after ${timeoutMs / 1000} s`), timeoutMs);
      page.on('crash', () => fail('The page crashed'));
      page.on('close', () => fail('The page closed before its report'));
      page
        .exposeFunction('guestmemReport', resolve)
        .then(() => page.goto(`${origin}/browser/page.html?/${file}`, { timeout: timeoutMs }))
        .catch((error) => fail(String(error)));
    });
    const { passed, failed, skipped } = report;
    const output = [reportText(report), ...(failed.length > 0 ? said : [])].join('\n');
    return { file, passed, failed: failed.length, skipped, output, ms: performance.now() - start };
  } finally {
    clearTimeout(timer);
    await context.close();
  }
}
