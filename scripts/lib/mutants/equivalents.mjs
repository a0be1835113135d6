import { EQUIVALENTS_OF_PAGING } from './equivalents-of-paging.mjs';
import { EQUIVALENTS_OF_RESOLVER } from './equivalents-of-resolver.mjs';
import { EQUIVALENTS_OF_WALKER } from './equivalents-of-walker.mjs';

/**
 * Changes that no test can see: what the code then does is the same, only slower, or the case that they let through cannot
 * come. Each says why. `npm run mutants` tells of entries that are no longer so.
 *
 * @type {readonly import('./score.mjs').Equivalent[]}
 */
export const EQUIVALENTS = [
  ...EQUIVALENTS_OF_RESOLVER,
  ...EQUIVALENTS_OF_PAGING,
  ...EQUIVALENTS_OF_WALKER,
  {
    file: 'src/core/dirty-log.ts',
    why: 'a bit that is set again is set; the look before it spares the store',
    changes: [
      ['else if (((this.words[word] as number) & bit) === 0)', '(this.words[word] & bit) === 0', 'true'],
    ],
  },
  {
    file: 'src/core/dirty-log.ts',
    why: 'it is 1 or -1',
    changes: [
      ['if (by > 0) Atomics.add(this.holds, 0, 1);', 'by > 0', 'by >= 0'],
      ['if (by < 0) Atomics.add(this.holds, 0, -1);', 'by < 0', 'by <= 0'],
    ],
  },
  {
    file: 'src/core/dirty-log.ts',
    why: 'a shift counts modulo 32, and the first page of a word is a multiple of it',
    changes: [
      [
        'if (Atomics.load(this.holds, page + 1) > 0) bits |= 1 << (page - first);',
        'page - first',
        'page + first',
      ],
    ],
  },
  {
    file: 'src/core/locked-pages.ts',
    why: 'there are bytes for each page that is held',
    changes: [
      [
        'const gone = this.held.some(({ piece }, i) => piece.closed || this.bytes[i]?.length === 0);',
        'this.bytes[i]?.length',
        'this.bytes[i].length',
      ],
    ],
  },
  {
    file: 'src/core/page-locks.ts',
    why: 'only what was locked is unlocked',
    changes: [
      ['if (lock === undefined) return;', 'lock === undefined', 'false'],
      [
        'const others = pages?.get(number)?.filter((other) => other !== lock) ?? [];',
        'pages?.get(number)?.filter',
        'pages?.get(number).filter',
      ],
      [
        'const others = pages?.get(number)?.filter((other) => other !== lock) ?? [];',
        'pages?.get',
        'pages.get',
      ],
      ['if (others.length > 0) pages?.set(number, others);', 'pages?.set', 'pages.set'],
      ['else pages?.delete(number);', 'pages?.delete', 'pages.delete'],
    ],
  },
  {
    file: 'src/core/page-locks.ts',
    why: 'what is no lock is of no page, and a list without locks is as good as none',
    changes: [
      ['pages.set(number, [...(pages.get(number) ?? []), lock]);', '[]', '["Stryker was here"]'],
      [
        'const others = pages?.get(number)?.filter((other) => other !== lock) ?? [];',
        '[]',
        '["Stryker was here"]',
      ],
      [
        'else for (let page = first; page <= last; page++) yield* touching(pages.get(page) ?? [], from, to);',
        '[]',
        '["Stryker was here"]',
      ],
      [
        'if (others.length > 0) pages?.set(number, others);',
        'others.length > 0',
        'true',
        'others.length >= 0',
      ],
    ],
  },
  {
    file: 'src/core/page-locks.ts',
    why: 'locks beside the range are left out in the end; to look at fewer of them is quicker',
    changes: [
      ['const last = Math.floor((to - 1) / PAGE_SIZE);', 'to - 1', 'to + 1'],
      [
        'if (last - first >= pages.size) for (const there of pages.values()) yield* touching(there, from, to);',
        'last - first >= pages.size',
        'false',
        'last - first > pages.size',
      ],
    ],
  },
  {
    file: 'src/core/page-locks.ts',
    why: 'who asks tells writing from all else',
    changes: [
      ["if (writers === 0) return ['read'];", "'read'", '""'],
      ["return readers === 0 ? ['write'] : ['read', 'write'];", "'read'", '""'],
    ],
  },
  {
    file: 'src/core/protection.ts',
    why: 'what is no backing has no locks',
    changes: [
      [
        'return present === undefined ? [] : [{ ...place, backing: present }];',
        'present === undefined',
        'false',
      ],
      ['return present === undefined ? [] : [{ ...place, backing: present }];', '[]', '["Stryker was here"]'],
    ],
  },
  {
    file: 'src/core/protection.ts',
    why: 'where none has gone, all are put back in their order',
    changes: [
      [
        'if (kept.length < this.parts.length) this.parts.splice(0, this.parts.length, ...kept);',
        'kept.length < this.parts.length',
        'true',
        'kept.length <= this.parts.length',
      ],
    ],
  },
];
