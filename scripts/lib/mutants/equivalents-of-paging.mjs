/**
 * The part of the list in equivalents.mjs that is about page tables.
 *
 * @type {readonly import('./score.mjs').Equivalent[]}
 */
export const EQUIVALENTS_OF_PAGING = [
  {
    file: 'src/paging/table-editor.ts',
    why: 'only what the entry says is asked for, which is the same in a table that is in use and in one that is not yet',
    changes: [
      [
        'const slot = this.slot(at, table, true, tableBase, Math.floor((base - tableBase) / at.tableSpan));',
        'true',
        'false',
      ],
      ['const slot = this.slot(level, table, true, base, index);', 'true', 'false'],
      [
        'if (this.slot(level, table, true, base, index).verdict !== NOT_PRESENT) return false;',
        'true',
        'false',
      ],
    ],
  },
  {
    file: 'src/paging/table-editor.ts',
    why: 'what was found out last is kept to spare the way down from the root; no table has the first key',
    changes: [
      ['private globalAbove = false;', 'false', 'true'],
      ['return inheritedLo !== 0 && this.inheritsGlobal(level, base);', 'inheritedLo !== 0', 'true'],
      ['if (key === this.globalKey) return this.globalAbove;', 'key === this.globalKey', 'false'],
    ],
  },
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
  {
    file: 'src/paging/mapping-cursor.ts',
    why: 'where leaves are joined, one that was just added is in a range',
    changes: [
      [
        "if (!frame.taken || open?.kind !== 'mapped' || compiled.format.entrySize !== 8) return;",
        'open?.kind',
        'open.kind',
      ],
    ],
  },
  {
    file: 'src/paging/mapping-cursor.ts',
    why: 'looked at for leaves alone, and of those it is said',
    changes: [['let alike = false;', 'false', 'true']],
  },
  {
    file: 'src/paging/leaf-run.ts',
    why: 'a run that has an end has begun after a leaf',
    changes: [
      ['if (at >= this.end || before === undefined) return undefined;', 'before === undefined', 'false'],
    ],
  },
  {
    file: 'src/paging/mapping-cursor.ts',
    why: 'another number for each table, level and rights, of which two are never the same either',
    changes: [
      [
        'const fromAbove = compiled.inherited(andLo, orHi) * 2 + (handedDown === 0 ? 0 : 1);',
        'compiled.inherited(andLo, orHi) * 2 + (handedDown === 0 ? 0 : 1)',
        'compiled.inherited(andLo, orHi) * 2 - (handedDown === 0 ? 0 : 1)',
      ],
      [
        'const fromAbove = compiled.inherited(andLo, orHi) * 2 + (handedDown === 0 ? 0 : 1);',
        'handedDown === 0',
        'handedDown !== 0',
      ],
      [
        'const key = table / 8 + this.depth * 64 + fromAbove;',
        'table / 8 + this.depth * 64 + fromAbove',
        'table / 8 + this.depth * 64 - fromAbove',
      ],
      [
        'const key = table / 8 + this.depth * 64 + fromAbove;',
        'table / 8 + this.depth * 64',
        'table / 8 - this.depth * 64',
      ],
      ['const key = table / 8 + this.depth * 64 + fromAbove;', 'this.depth * 64', 'this.depth / 64'],
    ],
  },
  {
    file: 'src/paging/mapping-cursor.ts',
    why: 'no format has both: tables that restrict rights, and bits that they hand down',
    changes: [
      [
        'const fromAbove = compiled.inherited(andLo, orHi) * 2 + (handedDown === 0 ? 0 : 1);',
        'compiled.inherited(andLo, orHi) * 2',
        'compiled.inherited(andLo, orHi) / 2',
      ],
    ],
  },
  {
    file: 'src/paging/listing-frame.ts',
    why: 'said of each table when it is entered',
    changes: [
      ['whole: false,', 'false', 'true'],
      ['taken: false,', 'false', 'true'],
    ],
  },
  {
    file: 'src/paging/open-range.ts',
    why: 'a page far behind',
    changes: [['this.nextPage = next === upperHalf ? -1 : next;', '-1', '+1']],
  },
  {
    file: 'src/paging/open-range.ts',
    why: 'a leaf that says the same is decoded to the same; to know it is quicker',
    changes: [
      [
        'last === undefined ||',
        'last === undefined || level !== lastLevel || (((lo ^ lastLo) & told.attributesLo) | ((hi ^ lastHi) & told.attributesHi)) !== 0',
        'true',
      ],
      ['last === undefined ||', 'last === undefined', 'false', 'last !== undefined'],
    ],
  },
  {
    file: 'src/paging/compiled-format.ts',
    why: 'a shift counts modulo 32',
    changes: [
      ['this.keyShift = (key?.from ?? 32) - 32;', '(key?.from ?? 32) - 32', '(key?.from ?? 32) + 32'],
      [
        'return tableBit < 32 ? ((andLo >>> tableBit) & 1) !== 0 : ((orHi >>> (tableBit - 32)) & 1) === 0;',
        'tableBit - 32',
        'tableBit + 32',
      ],
      ['return (bit < 32 ? lo >>> bit : hi >>> (bit - 32)) & 1;', 'bit - 32', 'bit + 32'],
    ],
  },
  {
    file: 'src/paging/compiled-format.ts',
    why: 'bit by bit the rights are the same, only slower',
    changes: [['if (this.plain === 0) return this.gather(andLo, orHi, lo, hi);', 'this.plain === 0', 'true']],
  },
  {
    file: 'src/paging/compiled-format.ts',
    why: 'what has no attribute is passed over',
    changes: [['.flatMap(({ attributes = [] }) => attributes)', '[]', '["Stryker was here"]']],
  },
];
