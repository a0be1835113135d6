import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { resolveInPage } from './chromium-modules.mjs';
import { isMissing, ROOT } from './paths.mjs';
import { importsOf, parseSource } from './source.mjs';

/** What is served of the project. */
const FOLDERS = ['dist', 'node_modules'];

/** A page shares memory only under the first two. */
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'X-Content-Type-Options': 'nosniff',
  // The port is another in each run, so nothing old is found under these addresses.
  'Cache-Control': 'max-age=3600',
};

/** @type {Readonly<Record<string, string>>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
};

/**
 * Serves what a test page needs, to this machine only: the compiled project, its packages, and scripts/browser.
 *
 * @param {string} root
 * @returns {Promise<{ origin: string, close: () => Promise<void> }>}
 */
export async function serveTests(root) {
  /** @type {Map<string, string>} */
  const served = new Map();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    try {
      const text = served.get(pathname) ?? textAt(root, pathname);
      served.set(pathname, text);
      response.writeHead(200, { ...HEADERS, 'Content-Type': TYPES[path.extname(pathname)] }).end(text);
    } catch (error) {
      const status = error instanceof NotServed || isMissing(error) ? 404 : 500;
      // The browser's console shows the phrase behind the status, so the reader of a failure does.
      const why = String(error).replace(/[^ -~]+/g, ' ');
      response.writeHead(status, why, { ...HEADERS, 'Content-Type': 'text/plain' }).end();
    }
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(undefined));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class NotServed extends Error {}

/**
 * @param {string} root
 * @param {string} pathname
 * @returns {string}
 */
function textAt(root, pathname) {
  // The parser of addresses has resolved every dot segment; nothing is decoded here.
  const [, first = '', rest = ''] = /^\/([^/]+)\/([\w./@+-]+)$/.exec(pathname) ?? [];
  if (TYPES[path.extname(pathname)] === undefined) throw new NotServed(`${pathname} is not served`);
  if (first === 'browser') return readFileSync(path.join(ROOT, 'scripts/browser', rest), 'utf8');
  if (!FOLDERS.includes(first)) throw new NotServed(`${pathname} is not served`);
  return withAddresses(root, `${first}/${rest}`);
}

/**
 * Puts addresses in the place of package names. An import map would do for a page, but Workers do not heed it.
 *
 * @param {string} root
 * @param {string} file
 * @returns {string}
 */
function withAddresses(root, file) {
  const source = parseSource(root, file);
  let text = '';
  let end = 0;
  const imports = importsOf(source).sort((a, b) => a.at.start - b.at.start);
  for (const { specifier, at } of imports) {
    if (specifier === undefined || /^[./]/.test(specifier)) continue;
    text += `${source.text.slice(end, at.start)}${JSON.stringify(resolveInPage(root, specifier))}`;
    end = at.end;
  }
  return text + source.text.slice(end);
}
