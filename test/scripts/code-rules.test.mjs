import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkCodeRules } from '../../scripts/checks/code-rules.mjs';
import { only, planted, project } from './project.mjs';

/** @param {string} text */
const problemsOf = (text) => checkCodeRules(project({ 'src/core/a.ts': text })).problems;

describe('code rules', () => {
  it('finds nothing in plain code', () => {
    assert.deepEqual(problemsOf('export const a: number = 1;\n'.repeat(400)), []);
  });

  it('refuses a source of more than 400 lines', () => {
    only(problemsOf('export {};\n'.repeat(401)), /401 lines; 400 at most/);
  });

  for (const text of [
    planted('// @ts-', 'ignore'),
    planted('// @ts-', 'expect-error'),
    planted('const a = b as ', 'unknown as number;'),
    planted('// TO', 'DO: finish'),
    planted('// FIX', 'ME'),
    planted('// biome-', 'ignore lint/style/noVar'),
  ]) {
    it(`refuses ${text}`, () => only(problemsOf(`export {};\n${text}\n`), /a\.ts:2: /));
  }
});
