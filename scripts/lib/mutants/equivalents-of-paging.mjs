/**
 * The part of the list in equivalents.mjs that is about page tables.
 *
 * @type {readonly import('./score.mjs').Equivalent[]}
 */
export const EQUIVALENTS_OF_PAGING = [
  {
    file: 'src/paging/entry-codec.ts',
    why: 'a shift counts modulo 32',
    changes: [
      ['else hi |= 1 << (bit - 32);', 'bit - 32', 'bit + 32'],
      ['else knownHi |= 1 << (bit - 32);', 'bit - 32', 'bit + 32'],
      [
        'return bit !== undefined && ((bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1) !== 0;',
        'bit - 32',
        'bit + 32',
      ],
    ],
  },
  {
    file: 'src/paging/entry-codec.ts',
    why: 'every format has the bits that tell a leaf in newLeaf or among its rights, or its leaves have none of them',
    changes: [
      ["const kind = typeof table === 'string' ? NONE : table.mask;", "typeof table === 'string'", 'true'],
    ],
  },
  {
    file: 'src/paging/merge.ts',
    why: 'these entries are only read, and behind the last there is none',
    changes: [
      [
        'for (const part of editor.slots(below, table, true, base, base, base + level.tableSpan - 1)) {',
        'true',
        'false',
      ],
      [
        'for (const part of editor.slots(below, table, true, base, base, base + level.tableSpan - 1)) {',
        'base + level.tableSpan - 1',
        'base + level.tableSpan + 1',
      ],
    ],
  },
];
