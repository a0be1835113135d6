import { existsSync } from 'node:fs';
import path from 'node:path';
import { filesUnder } from '../lib/paths.mjs';
import { importsOf, parseSource } from '../lib/source.mjs';
import { HOUSE } from './house.mjs';

/**
 * Imports go down the house, into other rooms by their face only, and portable rooms know nothing of Node.
 *
 * @param {string} root
 * @returns {import('../lib/checking.mjs').Finding}
 */
export function checkLayering(root) {
  /** @type {string[]} */
  const problems = [];
  const sources = filesUnder(root, 'src', isSource);
  for (const file of sources) {
    for (const { specifier, line } of importsOf(parseSource(root, file))) {
      const problem = judge(root, file, specifier);
      if (problem !== undefined) problems.push(`${file}:${line}: ${problem}`);
    }
  }
  const tests = Object.keys(HOUSE)
    .filter((room) => HOUSE[room]?.portable)
    .flatMap((room) => filesUnder(root, `test/${room}`, isSource));
  for (const file of tests) {
    for (const { specifier, line } of importsOf(parseSource(root, file))) {
      const problem = judgeTest(file, specifier);
      if (problem !== undefined) problems.push(`${file}:${line}: ${problem}`);
    }
  }
  return { problems, summary: `${sources.length} sources, ${tests.length} portable test files` };
}

/** @param {string} file */
function isSource(file) {
  return file.endsWith('.ts') || file.endsWith('.tsx');
}

/**
 * @param {string} root
 * @param {string} file
 * @param {string | undefined} specifier
 * @returns {string | undefined} what is wrong with this import
 */
function judge(root, file, specifier) {
  const name = file.split('/').length > 2 ? (file.split('/')[1] ?? '') : '';
  const room = HOUSE[name];
  if (room === undefined) return 'This file is in no room of the house';
  if (specifier === undefined) return 'An import must name its module literally';
  if (specifier.startsWith('.')) {
    const target = path.posix.join(path.posix.dirname(file), specifier);
    if (!existsSync(path.join(root, target))) return `${specifier} is not there (imports end in .ts)`;
    const other = target.split('/')[1] ?? '';
    if (!target.startsWith('src/')) return `${specifier} leads out of src/`;
    if (other === name) return undefined;
    if (!room.rooms.includes(other))
      return `${name} may not import ${other}; it may import ${list(room.rooms)}`;
    if (target !== `src/${other}/index.ts`)
      return `${other} is entered by its face only: ../${other}/index.ts`;
    return undefined;
  }
  if (specifier.startsWith('node:'))
    return room.portable ? `${name} runs in browsers and may not use ${specifier}` : undefined;
  if (room.packages.includes(specifier)) return undefined;
  return `${name} may not use the package ${specifier}; it may use ${list(room.packages)}`;
}

/**
 * Tests of portable rooms run on every runtime.
 *
 * @param {string} file
 * @param {string | undefined} specifier
 * @returns {string | undefined}
 */
function judgeTest(file, specifier) {
  if (specifier === undefined || specifier.startsWith('.')) return undefined;
  if (['node:test', 'node:assert/strict', 'fast-check'].includes(specifier)) return undefined;
  if (specifier === 'guestmem' || specifier.startsWith('guestmem/')) return undefined;
  if (specifier === 'node:worker_threads') {
    return /[.-]worker\b/.test(file)
      ? undefined
      : 'Only files named *.worker.test.ts or *-worker.ts may use Workers';
  }
  return `A test of a portable room may not use ${specifier}`;
}

/** @param {readonly string[]} names */
function list(names) {
  return names.length === 0 ? 'nothing' : names.join(', ');
}
