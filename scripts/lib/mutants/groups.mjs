/**
 * @typedef {object} Group
 * @property {string} name
 * @property {readonly string[]} modules of src/core
 * @property {readonly string[]} tests of test/core that judge them, none of them with threads
 */

/** What judges the one door to guest memory, and all that stands behind it. */
const OF_RESOLVER = [
  'address-space',
  'anchors',
  'closing',
  'dirty-log',
  'dirty-tracking',
  'errors',
  'every-kind-ranges',
  'every-kind-scalars',
  'failing-calls',
  'guest-memory',
  'kinds',
  'layouts',
  'on-demand',
  'page-numbers',
  'pieces',
  'protection',
  'quick-road',
  'refusals',
  'region-hints',
  'regions',
  'settle',
];

/**
 * What is broken, and what has to see it; a test that is not named is not asked. The first five are the resolver.
 *
 * @type {readonly Group[]}
 */
export const GROUPS = [
  { name: 'map', modules: ['memory-map', 'subrange'], tests: OF_RESOLVER },
  { name: 'region', modules: ['region'], tests: OF_RESOLVER },
  { name: 'door', modules: ['memory-door'], tests: OF_RESOLVER },
  { name: 'scalars', modules: ['scalar-access'], tests: OF_RESOLVER },
  { name: 'ranges', modules: ['bulk-access'], tests: OF_RESOLVER },
  {
    name: 'locks',
    modules: ['page-locks', 'locked-pages', 'locked-range'],
    tests: ['lock-counts', 'locks', 'locked-range', 'protection', 'rules-model', 'on-demand'],
  },
  {
    name: 'dirty',
    modules: ['dirty-log', 'dirty-tracking', 'page-bits'],
    tests: [
      'dirty-log',
      'dirty-tracking',
      'every-kind-dirty',
      'page-bits',
      'rules-model',
      'locks',
      'snapshot',
      'sharing',
    ],
  },
  {
    name: 'protection',
    modules: ['protection', 'page-rights'],
    tests: ['protection', 'page-bits', 'rules-model', 'locks', 'on-demand', 'sharing'],
  },
  {
    name: 'faults',
    modules: ['page-faults', 'page-states', 'on-demand'],
    tests: ['on-demand', 'page-bits', 'protection', 'sharing', 'settle', 'kinds'],
  },
];
