import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { filesUnder } from '../lib/paths.mjs';

/**
 * Links between files of the project lead somewhere, to a heading too where they name one.
 *
 * @param {string} root
 * @returns {import('../lib/checking.mjs').Finding}
 */
export function checkLinks(root) {
  const files = filesUnder(root, '.', (file) => file.endsWith('.md') && !file.startsWith('dist/'));
  /** @type {string[]} */
  const problems = [];
  let links = 0;
  for (const file of files) {
    for (const { target, line } of linksOf(readFileSync(path.join(root, file), 'utf8'))) {
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
      links++;
      const [to = '', heading] = target.split('#');
      const found = to === '' ? file : path.posix.join(path.posix.dirname(file), decodeURIComponent(to));
      if (found.startsWith('..') || !existsSync(path.join(root, found))) {
        problems.push(`${file}:${line}: ${target}: there is no such file`);
      } else if (heading !== undefined && found.endsWith('.md')) {
        const there = headingsOf(readFileSync(path.join(root, found), 'utf8'));
        if (!there.has(heading)) problems.push(`${file}:${line}: ${target}: there is no such heading`);
      }
    }
  }
  return { problems, summary: `${links} links in ${files.length} pages` };
}

/**
 * @param {string} text
 * @returns {{ target: string, line: number }[]}
 */
function linksOf(text) {
  return withoutCode(text).flatMap((content, at) =>
    [...content.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s+(\S+)/g)].map((match) => ({
      target: match[1] ?? match[2] ?? '',
      line: at + 1,
    })),
  );
}

/**
 * Headings as the web address of a rendered page names them.
 *
 * @param {string} text
 * @returns {Set<string>}
 */
function headingsOf(text) {
  /** @type {Set<string>} */
  const slugs = new Set();
  for (const line of text.split('\n')) {
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let unique = slug;
    for (let again = 1; slugs.has(unique); again++) unique = `${slug}-${again}`;
    slugs.add(unique);
  }
  return slugs;
}

/**
 * @param {string} text
 * @returns {string[]} its lines, code blanked out
 */
function withoutCode(text) {
  let fence = '';
  return text.split('\n').map((line) => {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1] ?? '';
    if (fence === '' && mark !== '') fence = mark;
    else if (fence !== '' && mark.startsWith(fence)) fence = '';
    else if (fence === '') return line.replace(/`[^`]*`/g, '');
    return '';
  });
}
