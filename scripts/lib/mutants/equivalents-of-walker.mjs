/**
 * The part of the list in equivalents.mjs that is about walks.
 *
 * @type {readonly import('./score.mjs').Equivalent[]}
 */
export const EQUIVALENTS_OF_WALKER = [
  {
    file: 'src/paging/translator.ts',
    why: 'the long road finds the same; the quick one is for the benchmarks to judge',
    changes: [
      [
        'this.quick = compiled.keys === undefined && this.markTest === undefined ? 1 : 0;',
        'compiled.keys === undefined && this.markTest === undefined',
        'false',
      ],
      [': level.word === inUpper', 'level.word === inUpper', 'false'],
      [
        'if ((((entryLo & level.tableTestLo) ^ level.tableTestValue) | (entryHi & level.tableTestHi)) !== 0) {',
        '(((entryLo & level.tableTestLo) ^ level.tableTestValue) | (entryHi & level.tableTestHi)) !== 0',
        'true',
      ],
      [
        'if ((((entryLo & level.leafTestLo) ^ level.leafTestValue) | (entryHi & level.leafTestHi)) === 0)',
        '(((entryLo & level.leafTestLo) ^ level.leafTestValue) | (entryHi & level.leafTestHi)) === 0',
        'false',
      ],
      [
        'this.quickWalk = new QuickWalk(this.trace, this.reader, this.quick === 1 && this.marker === undefined);',
        'this.quick === 1 && this.marker === undefined',
        'false',
      ],
      ['if (page < 0) {', 'page < 0', 'true', 'page <= 0'],
      ['if (this.plain !== 0) {', 'this.plain !== 0', 'false'],
      [
        'if ((((this.permitted[access] as number) >>> rights) & this.quick) === 0) {',
        '((this.permitted[access] >>> rights) & this.quick) === 0',
        'true',
      ],
      ['if (this.plain === 0) {', 'this.plain === 0', 'true'],
      [
        'return pageHi < 0x800 ? (pageHi << 20) | (pageLo >>> 12) : pageHi * 0x10_0000 + (pageLo >>> 12);',
        'pageHi < 0x800',
        'false',
      ],
      [
        'if (this.quick === 0) page.accesses = this.passingLook(leaf, rights, page.accesses);',
        'this.quick === 0',
        'true',
      ],
    ],
  },
  {
    file: 'src/paging/translator.ts',
    why: 'a page number of 32 bits is still exact in the first 4 GiB behind 8 TiB',
    changes: [
      [
        'if (page >>> 0 < pages && tableHi >>> 0 < 0x800) {',
        'tableHi >>> 0 < 0x800',
        'tableHi >>> 0 <= 0x800',
      ],
    ],
  },
  {
    file: 'src/paging/translator.ts',
    why: 'the rule for the access flag, which comes before the rights, has found whatever this would',
    changes: [
      [
        "this.markTest = marking === 'fault' && marks?.afterRights === true ? marker : undefined;",
        'marks?.afterRights === true',
        'true',
      ],
    ],
  },
  {
    file: 'src/paging/translator.ts',
    why: 'nobody looks at the trace of a walk that was not to be traced',
    changes: [['if (traced !== 0) {', 'traced !== 0', 'true']],
  },
  {
    file: 'src/paging/translator.ts',
    why: 'a field that is not there reads as undefined',
    changes: [
      [
        'readonly asked: Asked = { during: undefined, original: undefined };',
        '{ during: undefined, original: undefined }',
        '{}',
      ],
    ],
  },
  {
    file: 'src/paging/translator.ts',
    why: 'no access has that code, and so nothing allows it',
    changes: [
      ['for (let code = 0; code < ACCESS_CODES; code++) {', 'code < ACCESS_CODES', 'code <= ACCESS_CODES'],
    ],
  },
  {
    file: 'src/paging/walk-report.ts',
    why: 'no leaf allows nothing at all',
    changes: [
      [
        'const rights = fault.rights < 0 ? undefined : rightsOf(fault.rights);',
        'fault.rights < 0',
        'fault.rights <= 0',
      ],
    ],
  },
  {
    file: 'src/paging/walk-report.ts',
    why: 'the bits of the leaf itself are there already',
    changes: [
      [
        'for (let slot = 0; slot < leaf.slot; slot += 2) lo |= (entries[slot] as number) & compiled.inheritedLo;',
        'slot < leaf.slot',
        'slot <= leaf.slot',
      ],
    ],
  },
  {
    file: 'src/paging/staged-entry-reader.ts',
    why: 'it is said anew before anybody looks',
    changes: [
      ['blocked = false;', 'false', 'true'],
      ['private telling = false;', 'false', 'true'],
    ],
  },
  {
    file: 'src/paging/staged-entry-reader.ts',
    why: 'undefined says no as well',
    changes: [['snapshot(): boolean {', '{ return false; }', '{}']],
  },
  {
    file: 'src/paging/staged-entry-reader.ts',
    why: 'who wants no story pays for one, of the same walk',
    changes: [['if (this.telling) {', 'this.telling', 'true']],
  },
  {
    file: 'src/paging/two-stage-translator.ts',
    why: 'it is written before it is read',
    changes: [
      [
        'private readonly page: WalkedPage = { sizeBits: 12, accesses: 0, global: false };',
        '{ sizeBits: 12, accesses: 0, global: false }',
        '{}',
      ],
      [
        'private readonly hostPage: WalkedPage = { sizeBits: 12, accesses: 0, global: false };',
        '{ sizeBits: 12, accesses: 0, global: false }',
        '{}',
      ],
      ['private readonly page: WalkedPage = { sizeBits: 12, accesses: 0, global: false };', 'false', 'true'],
      [
        'private readonly hostPage: WalkedPage = { sizeBits: 12, accesses: 0, global: false };',
        'false',
        'true',
      ],
    ],
  },
  {
    file: 'src/paging/two-stage-translator.ts',
    why: 'a translator of one stage that refused has no other kind of fault than these and a page fault',
    changes: [
      [
        "fault.secondStage = kind === 'not-canonical' || kind === 'table-unreadable' ? kind : 'page-fault';",
        "kind === 'not-canonical' || kind === 'table-unreadable'",
        'true',
      ],
    ],
  },
  {
    file: 'src/paging/two-stage-translator.ts',
    why: 'no access has that code, and so nothing allows it',
    changes: [
      ['for (let code = 0; code < ACCESS_CODES; code++) {', 'code < ACCESS_CODES', 'code <= ACCESS_CODES'],
    ],
  },
  {
    file: 'src/paging/two-stage-translator.ts',
    why: 'who wants no story pays for one, of the same walk',
    changes: [['reader.ask(factsOf(access), false);', 'false', 'true']],
  },
  {
    file: 'src/paging/quick-walk.ts',
    why: 'the test of the root is as strict as any, and that of the last level adds only the bit for present',
    changes: [
      [
        'const upperLevels = compiled.levels.slice(0, -1);',
        'compiled.levels.slice(0, -1)',
        'compiled.levels',
      ],
      ['const upperLevels = compiled.levels.slice(0, -1);', '-1', '+1'],
    ],
  },
  {
    file: 'src/paging/quick-walk.ts',
    why: 'no index begins at that bit',
    changes: [
      [
        'const word = bit >= upperWord ? upper >>> (bit - upperWord) : lo >>> bit;',
        'bit >= upperWord',
        'bit > upperWord',
      ],
    ],
  },
];
