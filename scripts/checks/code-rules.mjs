import { readFileSync } from 'node:fs';
import path from 'node:path';
import { filesUnder } from '../lib/paths.mjs';

const MOST_LINES = 400;

/** What neither the compiler nor biome refuses. The patterns are written so that this file passes too. */
const FORBIDDEN = [
  { pattern: /@ts-(?:ignore|expect-error|nocheck)\b/, why: 'the compiler is not to be silenced' },
  { pattern: /\bas\s+(?:unknown|any|never)\s+as\b/, why: 'a cast through another type hides what is wrong' },
  { pattern: /\b(?:TO[D]O|FIX[M]E|X[X]X|HAC[K])\b/, why: 'finish it, or write an issue' },
  { pattern: /\bbiome-ignore(?!\s+\S+:\s*\S+)/, why: 'a suppression says why' },
];

/**
 * @param {string} root
 * @returns {import('../lib/checking.mjs').Finding}
 */
export function checkCodeRules(root) {
  /** @type {string[]} */
  const problems = [];
  const files = ['src', 'test', 'bench', 'examples', 'scripts'].flatMap((folder) =>
    filesUnder(root, folder, (file) => /\.(?:ts|tsx|mjs)$/.test(file)),
  );
  for (const file of files) {
    const lines = readFileSync(path.join(root, file), 'utf8').split('\n');
    if (file.startsWith('src/') && lines.length > MOST_LINES + 1) {
      problems.push(`${file}: ${lines.length - 1} lines; ${MOST_LINES} at most`);
    }
    for (const [at, line] of lines.entries()) {
      for (const { pattern, why } of FORBIDDEN) {
        const found = pattern.exec(line);
        if (found !== null) problems.push(`${file}:${at + 1}: ${found[0]}: ${why}`);
      }
    }
  }
  return { problems, summary: `${files.length} files` };
}
