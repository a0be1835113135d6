import type { Access } from './access.ts';
import { readWhole, translateChecked, writeWhole } from './accessor.ts';
import { ADDRESS_SPACE_SIZE, isGpa } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import { compareExchangeElement } from './element.ts';
import { GuestMemoryError } from './errors.ts';
import type { HostTranslator } from './host-run.ts';

/**
 * The whole address space as a translator sees it, so that {@link GuestMemory.from} gives it everything a memory has.
 * Each access translates anew: what the translator answers may change between two of them.
 */
export function translatorBacking(translator: HostTranslator): MemoryBacking {
  return {
    kind: 'translator',
    size: ADDRESS_SPACE_SIZE,
    fallback: {
      read: (offset: number, dest: Uint8Array): void => readWhole(translator, offset, dest, 'read'),
      write: (offset: number, src: Uint8Array): void => writeWhole(translator, offset, src, 'write'),
      compareExchange(offset: number, expected: Uint8Array, desired: Uint8Array): boolean {
        const facts = { operation: 'compare exchange', gpa: offset, length: expected.length };
        const { buffer, byteOffset, limit } = translateChecked(translator, offset, 'write', facts);
        if (byteOffset % expected.length !== 0 || limit < expected.length) {
          throw new GuestMemoryError(
            'misaligned',
            `current host offset ${byteOffset}, wanted a multiple of ${expected.length} in one run`,
            facts,
          );
        }
        return compareExchangeElement(buffer, byteOffset, expected, desired);
      },
      probe(offset: number, length: number, access: Access): number {
        let done = 0;
        while (done < length) {
          const run = translator.translateAndGetLimit(offset + done, access);
          // A limit that is 0 or no whole number would never come to an end.
          if (run === undefined || !isGpa(run.limit) || run.limit === 0) break;
          done += run.limit;
        }
        return done;
      },
      explain(offset: number, access: Access): unknown {
        try {
          translateChecked(translator, offset, access, { operation: access, gpa: offset, length: 1 });
          return undefined;
        } catch (error) {
          return error;
        }
      },
    },
  };
}
