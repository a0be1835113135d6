import { readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import path from 'node:path';
import { filesUnder } from '../lib/paths.mjs';

/** Says that a text was made somewhere, not that it is about guestmem. Written so that this file passes too. */
const GIVEAWAYS = [
  {
    pattern: /(?<![\w/.-])\/(?:home|Users)\/(?!user\b|you\b|me\b)[\w.-]+/,
    why: 'a folder of somebody’s machine',
  },
  {
    pattern: /\bhttps?:\/\/[^\s"')]*\/(?:npm-proxy|artifactory|nexus|verdaccio)\b/i,
    why: 'a private registry',
  },
  { pattern: /\b(?:sub-?agent|prompt-?engineer)s?\b/i, why: 'talk about how the text came to be' },
];

/**
 * Nothing in the project tells of the machine or the workshop in which it was written.
 *
 * @param {string} root
 * @returns {import('../lib/checking.mjs').Finding}
 */
export function checkWords(root) {
  const local = placesOfThisMachine(root);
  const files = filesUnder(
    root,
    '.',
    (file) => !file.startsWith('dist/') && !/\.(?:tgz|png|jpg|gz)$/.test(file),
  );
  /** @type {string[]} */
  const problems = [];
  for (const file of files) {
    const lines = readFileSync(path.join(root, file), 'utf8').split('\n');
    for (const [at, line] of lines.entries()) {
      for (const { pattern, why } of GIVEAWAYS) {
        const found = pattern.exec(line);
        if (found !== null) problems.push(`${file}:${at + 1}: ${found[0]}: ${why}`);
      }
      for (const place of local) {
        if (line.includes(place)) problems.push(`${file}:${at + 1}: ${place}: a place on this machine`);
      }
      const resolved = file === 'package-lock.json' ? /"resolved": "(.*)"/.exec(line)?.[1] : undefined;
      if (resolved !== undefined) {
        problems.push(
          `${file}:${at + 1}: ${resolved}: the lock file names versions and hashes, no download address`,
        );
      }
    }
  }
  return { problems, summary: `${files.length} files` };
}

/**
 * Found out here and now, so that no list of them has to be kept in the project.
 *
 * @param {string} root
 * @returns {string[]}
 */
function placesOfThisMachine(root) {
  const folders = [root, path.dirname(root), homedir()].filter((folder) => folder.split(path.sep).length > 1);
  const distinct = folders.map((folder) => `${folder}/`).filter((folder) => !ORDINARY.has(folder));
  const host = hostname();
  return host.length >= 8 && /[\d.-]/.test(host) ? [...distinct, host] : distinct;
}

/** Folders that exist everywhere and may well be spoken of. */
const ORDINARY = new Set([
  '//',
  '/tmp/',
  '/root/',
  '/home/',
  '/usr/',
  '/usr/src/',
  '/srv/',
  '/opt/',
  '/mnt/',
  '/var/',
  '/app/',
]);
