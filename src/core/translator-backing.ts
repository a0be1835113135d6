import type { Access } from './access.ts';
import { readRuns, translateChecked, writeRuns } from './accessor.ts';
import { ADDRESS_SPACE_SIZE } from './addresses.ts';
import type { MemoryBacking } from './backing.ts';
import { compareExchangeElement, loadElement, storeElement } from './element.ts';
import { GuestMemoryError } from './errors.ts';
import type { HostRun, HostTranslator } from './host-run.ts';
import { scratch } from './scratch.ts';

/**
 * The whole address space as a translator sees it, so that {@link GuestMemory.from} gives it everything a memory has.
 * Each access translates anew: what the translator answers may change between two of them.
 */
export function translatorBacking(translator: HostTranslator): MemoryBacking {
  return {
    kind: 'translator',
    size: ADDRESS_SPACE_SIZE,
    fallback: {
      read(offset: number, dest: Uint8Array): void {
        const run = elementRun(translator, offset, dest.length, 'read');
        if (run === undefined) readRuns(translator, offset, dest, 'read');
        else {
          loadElement(run.buffer, run.byteOffset, dest.length);
          dest.set(scratch.u8.subarray(0, dest.length));
        }
      },
      write(offset: number, src: Uint8Array): void {
        const run = elementRun(translator, offset, src.length, 'write');
        if (run === undefined) writeRuns(translator, offset, src, 'write');
        else {
          scratch.u8.set(src);
          storeElement(run.buffer, run.byteOffset, src.length);
        }
      },
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
          if (run === undefined || !(run.limit > 0)) break;
          done += run.limit;
        }
        return done;
      },
    },
  };
}

/** The run of a scalar that one element access can move, so that it does not tear (SPEC M5). */
function elementRun(
  translator: HostTranslator,
  gpa: number,
  width: number,
  access: Access,
): HostRun | undefined {
  if (width !== 2 && width !== 4 && width !== 8) return undefined;
  const run = translateChecked(translator, gpa, access, { operation: access, gpa, length: width });
  return run.byteOffset % width === 0 && run.limit >= width ? run : undefined;
}
