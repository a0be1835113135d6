/**
 * Changes that no test can see, because what the code then does is the same, only slower, or because the case that they
 * let through cannot come. Each says why. `npm run mutants` tells of entries that are no longer so.
 *
 * @type {readonly import('./score.mjs').Equivalent[]}
 */
export const EQUIVALENTS = [
  {
    file: 'src/core/dirty-log.ts',
    text: "this.shared = typeof SharedArrayBuffer !== 'undefined' && words.buffer instanceof SharedArrayBuffer;",
    was: "typeof SharedArrayBuffer !== 'undefined' && words.buffer instanceof SharedArrayBuffer",
    became: ['true'],
    why: 'Atomics do the same to memory of one thread, only slower',
  },
  {
    file: 'src/core/dirty-log.ts',
    text: 'else if (((this.words[word] as number) & bit) === 0)',
    was: '(this.words[word] & bit) === 0',
    became: ['true'],
    why: 'a bit that is set again is set; the look before it spares the store',
  },
  {
    file: 'src/core/dirty-log.ts',
    text: 'const page = this.shift < 12 ? Math.floor(offset / this.pageSize) : (offset / this.pageSize) >>> 0;',
    was: 'this.shift < 12',
    became: ['true', 'false', 'this.shift <= 12', 'this.shift >= 12'],
    why: 'both ways round down alike as far as there are pages: a log keeps a word for each, and has fewer than 2^32',
  },
  {
    file: 'src/core/dirty-log.ts',
    text: 'if (by > 0) Atomics.add(this.holds, 0, 1);',
    was: 'by > 0',
    became: ['by >= 0'],
    why: 'it is 1 or -1',
  },
  {
    file: 'src/core/dirty-log.ts',
    text: 'if (by < 0) Atomics.add(this.holds, 0, -1);',
    was: 'by < 0',
    became: ['by <= 0'],
    why: 'it is 1 or -1',
  },
  {
    file: 'src/core/dirty-log.ts',
    text: 'if (Atomics.load(this.holds, page + 1) > 0) bits |= 1 << (page - first);',
    was: 'page - first',
    became: ['page + first'],
    why: 'a shift counts modulo 32, and the first page of a word is a multiple of it',
  },
  {
    file: 'src/core/locked-pages.ts',
    text: 'const gone = this.held.some(({ piece }, i) => piece.closed || this.bytes[i]?.length === 0);',
    was: 'this.bytes[i]?.length',
    became: ['this.bytes[i].length'],
    why: 'there are bytes for each page held',
  },
  {
    file: 'src/core/page-locks.ts',
    text: 'const lock = pages?.get(offset);',
    was: 'pages?.get',
    became: ['pages.get'],
    why: 'only what was locked is unlocked',
  },
  {
    file: 'src/core/page-locks.ts',
    text: 'if (pages === undefined || lock === undefined) return;',
    was: 'pages === undefined || lock === undefined',
    became: ['false', 'pages === undefined && lock === undefined'],
    why: 'only what was locked is unlocked',
  },
  {
    file: 'src/core/page-locks.ts',
    text: 'if (pages === undefined || lock === undefined) return;',
    was: 'pages === undefined',
    became: ['false'],
    why: 'only what was locked is unlocked',
  },
  {
    file: 'src/core/page-locks.ts',
    text: 'if (pages === undefined || lock === undefined) return;',
    was: 'lock === undefined',
    became: ['false'],
    why: 'only what was locked is unlocked',
  },
];
