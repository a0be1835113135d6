/**
 * @typedef {object} Group
 * @property {string} name
 * @property {string} room
 * @property {readonly string[]} modules of the room
 * @property {readonly string[]} tests of the room that judge them, none of them with threads
 * @property {RegExp} [leftOut] tests of these files, by name, that are not asked: what they alone would see counts as not seen
 */

/**
 * The tests of every kind of memory are many. Left out are those of more than 4 GiB, which take a hundred times as long, and
 * of memories upon other memories, which do all twice.
 */
const TOO_MANY_KINDS =
  /more than 4 GiB|shared, large|another memory|virtual memory|IOMMU|translator|subrange of a subrange|alias of/;

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
 * The first five are the resolver.
 *
 * @type {readonly Omit<Group, 'room'>[]}
 */
const OF_CORE = [
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

/** What judges edits of translation tables. */
const OF_BUILDER = [
  'edit',
  'edit-details',
  'editor-details',
  'merge-details',
  'map',
  'aarch64-edit',
  'riscv',
  'table-references',
  'all-or-nothing',
  'share-tables',
  'share-details',
  'leaf-groups',
  'new-leaves',
  'execute-rights',
];

/** What judges walks. */
const OF_WALKER = [
  'bit-flips',
  'quick-walk',
  'accessed-dirty',
  'aarch64',
  'ept',
  'marker',
  'registers',
  'riscv',
  'tlb',
  'two-stage-translator',
  'walk-details',
  'walk-report',
  'walked-pages',
];

/** Long rows of edits: they see much, and take so long that a run would take hours. */
const RANDOM =
  /any sequence of edits|whatever was done|compare with a map model|encoding and decoding agree over all/;

/**
 * The first five are the builder, the others the walker.
 *
 * @type {readonly Omit<Group, 'room'>[]}
 */
const OF_PAGING = [
  { name: 'editor', modules: ['table-editor'], tests: OF_BUILDER },
  {
    name: 'references',
    modules: ['frames', 'table-references', 'entry-writes', 'share-tables', 'prepare-tables', 'root-table'],
    tests: [
      'table-references',
      'all-or-nothing',
      'share-tables',
      'share-details',
      'leaf-groups',
      'table-ops',
      'editor-details',
      'edit-details',
      'map',
    ],
  },
  {
    name: 'leaves',
    modules: ['leaf-encoder', 'leaf-group', 'execute-rights', 'invalidations'],
    tests: [
      'leaf-groups',
      'new-leaves',
      'execute-rights',
      'editor-details',
      'edit-details',
      'map',
      'map-runs',
      'share-tables',
      'riscv',
    ],
  },
  { name: 'edits', modules: ['map', 'unmap', 'protect', 'merge'], tests: OF_BUILDER },
  { name: 'requests', modules: ['edit-range', 'map-request', 'entry-codec'], tests: OF_BUILDER },
  { name: 'walk', modules: ['translator', 'quick-walk', 'marker', 'walk-report'], tests: OF_WALKER },
  {
    name: 'formats',
    modules: ['level', 'entry-rules', 'compiled-format', 'field-mover'],
    tests: [
      'level',
      'entry-rules',
      'compiled-format',
      'compiled-rights',
      'plain-format',
      'field-mover',
      ...OF_WALKER,
    ],
  },
  {
    name: 'listing',
    modules: ['mapping-cursor', 'listing-frame', 'leaf-run', 'open-range'],
    tests: [
      'mappings',
      'listing-aliases',
      'listing-details',
      'listing-marks',
      'mapping-cursor',
      'aarch64-mappings',
      'hostile-tables',
      'edit',
      'riscv',
    ],
  },
  {
    name: 'staged-listing',
    modules: ['staged-listing', 'second-stage-ranges'],
    tests: ['staged-listing', 'second-stage-ranges'],
  },
  {
    name: 'two-stages',
    modules: ['two-stage-translator', 'staged-entry-reader'],
    tests: ['two-stage', 'two-stage-faults', 'two-stage-translator', 'riscv-two-stage', 'aarch64'],
  },
];

/**
 * What is broken, and what has to see it; a test that is not named is not asked.
 *
 * @type {readonly Group[]}
 */
export const GROUPS = [
  ...OF_CORE.map((group) => ({ ...group, room: 'core', leftOut: TOO_MANY_KINDS })),
  ...OF_PAGING.map((group) => ({ ...group, room: 'paging', leftOut: RANDOM })),
];
