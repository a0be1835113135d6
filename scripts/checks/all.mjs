import { checkCodeRules } from './code-rules.mjs';
import { checkDocExamples } from './doc-examples.mjs';
import { checkDocumented } from './documented.mjs';
import { checkExamples } from './examples.mjs';
import { checkLayering } from './layering.mjs';
import { checkLinks } from './links.mjs';
import { checkPackageShape } from './package-shape.mjs';
import { checkRequirements } from './requirements.mjs';
import { checkStyle } from './style.mjs';
import { checkTypes } from './types.mjs';
import { checkWords } from './words.mjs';

/**
 * Every check by its name, in the order in which they run.
 *
 * @type {Record<string, (root: string) => import('../lib/checking.mjs').Finding | Promise<import('../lib/checking.mjs').Finding>>}
 */
export const CHECKS = {
  types: checkTypes,
  style: checkStyle,
  layering: checkLayering,
  rules: checkCodeRules,
  documented: checkDocumented,
  'doc-examples': checkDocExamples,
  examples: checkExamples,
  links: checkLinks,
  requirements: checkRequirements,
  package: checkPackageShape,
  words: checkWords,
};
