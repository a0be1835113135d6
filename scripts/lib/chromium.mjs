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
 *   runs one test file in a page of its own
 * @property {() => Promise<void>} close
 */

/** Debian's, or the one that CHROME_BIN names. */
const PROGRAM = process.env['CHROME_BIN'] ?? '/usr/bin/chromium';

/** Half a second where nothing else runs. */
const START_MS = 120_000;

const FLAGS = [
  // In a container, root has no namespaces to build the sandbox of; the pages are our own.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--js-flags=--expose-gc',
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
    const browser = await chromium.launch({
      executablePath: PROGRAM,
      headless: true,
      args: FLAGS,
      timeout: START_MS,
    });
    /** @type {Tab[]} */
    const idle = [];
    return {
      version: browser.version(),
      runTestFile: async (file, { timeoutMs }) => {
        const start = performance.now();
        const tab = idle.pop() ?? (await Tab.open(browser));
        const report = await tab.run(`${server.origin}/browser/page.html?/${file}`, timeoutMs);
        if (tab.usable) idle.push(tab);
        else await tab.close();
        const { passed, failed, skipped } = report;
        const output = [reportText(report), ...(failed.length === 0 ? [] : tab.said)].join('\n');
        return { file, passed, failed: failed.length, skipped, output, ms: performance.now() - start };
      },
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
 * Goes from test file to test file: each is a new page with nothing of the last one's, but neither its processes nor the
 * modules they share are made anew, which takes five times the processor's time.
 */
class Tab {
  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.page = page;
    /** What the page wrote on its console. @type {string[]} */
    this.said = [];
    this.usable = true;
    /** @type {(report: Report) => void} */
    this.finish = () => undefined;
  }

  /**
   * @param {Browser} browser
   * @returns {Promise<Tab>}
   */
  static async open(browser) {
    // A context of its own gives it processes of its own: one that hangs holds up nobody.
    const context = await browser.newContext();
    const tab = new Tab(await context.newPage());
    tab.page.on('console', (message) => tab.said.push(message.text()));
    tab.page.on('crash', () => tab.#giveUp('The page crashed'));
    tab.page.on('close', () => tab.#giveUp('The page closed before its report'));
    await tab.page.exposeFunction('guestmemReport', (/** @type {Report} */ report) => tab.finish(report));
    return tab;
  }

  /**
   * @param {string} url
   * @param {number} timeoutMs
   * @returns {Promise<Report>}
   */
  async run(url, timeoutMs) {
    this.said = [];
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    /** @type {Report} */
    const report = await new Promise((resolve) => {
      this.finish = resolve;
      timer = setTimeout(() => this.#giveUp(`Stopped after ${timeoutMs / 1000} s`), timeoutMs);
      this.page
        .goto(url, { timeout: timeoutMs, waitUntil: 'commit' })
        .catch((error) => this.#giveUp(String(error)));
    });
    clearTimeout(timer);
    return report;
  }

  async close() {
    await this.page.context().close();
  }

  /** @param {string} why */
  #giveUp(why) {
    this.usable = false;
    this.finish({ passed: 0, failed: [{ name: 'the file', why }], skipped: [], diagnostics: [] });
  }
}
