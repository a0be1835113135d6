import { readFileSync } from 'node:fs';
import path from 'node:path';
import { filesUnder, isMissing } from '../lib/paths.mjs';

const PAGE = 'docs/requirements.md';

/** Numbers of requirements as one word: a test that bears one that is not on the page is mistyped. */
const NUMBER = /^[MST]\d+$/;

/**
 * Each line of the page of requirements has a test that bears its number, and no test bears a number that is not there.
 *
 * @param {string} root
 * @returns {import('../lib/checking.mjs').Finding}
 */
export function checkRequirements(root) {
  const required = requirementsOf(root);
  if (required.length === 0) return { problems: [`${PAGE}: there is no requirement`], summary: '' };
  const tests = filesUnder(root, 'test', (file) => /\.test\.(?:ts|mjs)$/.test(file)).flatMap((file) =>
    borneBy(readFileSync(path.join(root, file), 'utf8')).map((words) => ({ file, words })),
  );
  const problems = required
    .filter(({ number }) => !tests.some(({ words }) => number.split(' ').every((word) => words.has(word))))
    .map(({ number, line }) => `${PAGE}:${line}: no test bears the number ${number}`);
  const known = new Set(required.map(({ number }) => number));
  for (const { file, words } of tests) {
    for (const word of words) {
      if (NUMBER.test(word) && !known.has(word))
        problems.push(`${file}: a test bears ${word}, which is not in ${PAGE}`);
    }
  }
  return { problems, summary: `${required.length} requirements, ${tests.length} tests` };
}

/**
 * @param {string} root
 * @returns {{ number: string, line: number }[]}
 */
function requirementsOf(root) {
  try {
    const lines = readFileSync(path.join(root, PAGE), 'utf8').split('\n');
    return lines.flatMap((text, i) => {
      const number = /^\| `([^`]+)` \|/.exec(text)?.[1];
      return number === undefined ? [] : [{ number, line: i + 1 }];
    });
  } catch (error) {
    if (!isMissing(error)) throw error;
    return [];
  }
}

/**
 * What the tests of a file bear: for each, the words of its name before the first colon.
 *
 * @param {string} text
 * @returns {Set<string>[]}
 */
function borneBy(text) {
  return [...text.matchAll(/\bit\(\s*(['"`])(.*?)\1/gs)].map(
    ([, , name = '']) => new Set((name.split(':')[0] ?? '').split(/[^\w.-]+/)),
  );
}
