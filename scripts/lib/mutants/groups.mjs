/**
 * @typedef {object} Group
 * @property {string} name
 * @property {readonly string[]} modules of src/core
 * @property {readonly string[]} tests of test/core that judge them, none of them with threads
 */

/** What each group is proved by; a test that is not here is not asked. @type {readonly Group[]} */
export const GROUPS = [
  {
    name: 'resolver',
    modules: ['region', 'memory-map', 'memory-door', 'bulk-access', 'scalar-access', 'subrange'],
    tests: [
      'address-space',
      'anchors',
      'closing',
      'dirty-tracking',
      'errors',
      'every-kind-ranges',
      'every-kind-scalars',
      'every-kind-views',
      'failing-calls',
      'guest-memory',
      'kinds',
      'layouts',
      'model',
      'on-demand',
      'other-engines',
      'page-numbers',
      'protection',
      'regions',
      'settle',
      'sharing',
    ],
  },
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
