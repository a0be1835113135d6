import { type Access, type GuestMemory, GuestMemoryError, hex, isGuestMemoryError } from '../core/index.ts';
import { accessCode } from './access.ts';
import { halvesOfAddress, splitAddress } from './address-halves.ts';
import type { AddressTranslator } from './address-translator.ts';
import { faultError } from './fault-error.ts';

/** In whose name a {@link VirtualMemory} accesses memory. */
export interface VirtualMemoryOptions {
  /** User mode. Default: supervisor mode. */
  readonly user?: boolean;
  /** x86: EFLAGS.AC is set, so SMAP does not keep the supervisor from user pages. Default: clear. */
  readonly ac?: boolean;
}

/** A piece of a virtual range that is contiguous in physical memory. */
export interface VirtualRun {
  readonly gpa: number;
  readonly length: number;
}

/** The smallest page of any format. */
const PAGE = 4096;

/** Runs that one call keeps: 4 GiB of pages that are nowhere neighbours, of which a list takes 80 MB. */
const MOST_RUNS = 2 ** 20;

/**
 * The one door from virtual addresses to physical ones. Two roads lead through it, as in the core: `near` for what lies
 * within a page, which is one translation and allocates nothing; `settle` for ranges, all of whose pages are translated
 * and asked for before the first byte is touched.
 */
export abstract class VirtualDoor {
  /** The physical memory. */
  readonly memory: GuestMemory;
  readonly translator: AddressTranslator;
  protected readonly readCode: number;
  protected readonly writeCode: number;
  protected readonly executeCode: number;

  constructor(memory: GuestMemory, translator: AddressTranslator, options: VirtualMemoryOptions = {}) {
    this.memory = memory;
    this.translator = translator;
    this.readCode = accessCode({ ...options, kind: 'read' });
    this.writeCode = accessCode({ ...options, kind: 'write' });
    this.executeCode = accessCode({ ...options, kind: 'execute' });
  }

  /** Physical address of what lies within one page of 4 KiB; -1 where it does not. */
  protected near(gva: bigint, width: number, code: number): number {
    splitAddress(gva);
    const lo = halvesOfAddress[0] as number;
    if ((lo & (PAGE - 1)) > PAGE - width) return -1;
    const gpa = this.translator.resolve(lo, halvesOfAddress[1] as number, code);
    if (gpa < 0) throw this.fault(gva, width, gva, code);
    return gpa;
  }

  /**
   * Translates a range into as few runs as there are, and asks the memory for each (SPEC M3). How many there are is the guest's
   * choice, so that a list of them has an end.
   */
  protected settle(gva: bigint, length: number, access: Access, operation: string): VirtualRun[] {
    const runs: VirtualRun[] = [];
    this.translateRange(gva, length, access, operation, (run) => {
      if (runs.length === MOST_RUNS) {
        const reason = `the range lies in more than ${MOST_RUNS} runs in memory; take it in parts`;
        throw this.error('too-large', reason, { operation, length });
      }
      runs.push(run);
    });
    return runs;
  }

  /** Takes a step for each run; `moved` is how far the range has come. What fails half-way says how far that was. */
  protected eachRun(
    runs: readonly VirtualRun[],
    gva: bigint,
    operation: string,
    step: (gpa: number, length: number, moved: number) => void,
  ): void {
    let moved = 0;
    for (const { gpa, length } of runs) {
      try {
        step(gpa, length, moved);
      } catch (cause) {
        const total = runs.reduce((sum, run) => sum + run.length, 0);
        throw this.refusal(cause, gva, total, operation, moved + doneBefore(cause));
      }
      moved += length;
    }
  }

  /** Bytes from an address to the end of its smallest page. */
  protected restOfPage(gva: bigint): number {
    return PAGE - Number(BigInt.asUintN(12, gva));
  }

  protected codeOf(access: Access): number {
    return access === 'read' ? this.readCode : access === 'write' ? this.writeCode : this.executeCode;
  }

  /** Why `gva`, in a range from `start` on, has no translation. */
  protected fault(
    gva: bigint,
    length: number,
    start: bigint,
    code: number,
    operation?: string,
  ): GuestMemoryError {
    const cause = faultError(this.translator.fault);
    const range = start === gva ? '' : `, in a range from virtual address ${hex(start)}`;
    const verb = code === this.readCode ? 'read' : code === this.writeCode ? 'write' : 'fetch';
    return this.error('fault', `virtual address ${hex(gva)} has no translation${range}`, {
      operation: operation ?? verb,
      length,
      cause,
    });
  }

  protected checkRoom(buffer: Uint8Array, offset: number, length: number, operation: string): void {
    this.checkLength(length, operation);
    if (!Number.isSafeInteger(offset) || offset < 0 || length > buffer.length - offset) {
      const reason = `current buffer range ${offset}+${length}, wanted one inside its ${buffer.length} bytes`;
      throw this.error('invalid', reason, { operation });
    }
  }

  protected checkLength(length: number, operation: string): void {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw this.error('invalid', `current length ${length}, wanted a whole number of at least 0`, {
        operation,
      });
    }
  }

  protected checkEnd(gva: bigint, length: number, operation: string): void {
    splitAddress(gva);
    if (gva + BigInt(length) > 2n ** 64n) {
      const reason = `the range from virtual address ${hex(gva)} runs past the end of the 2^64 space`;
      throw this.error('invalid', reason, { operation, length });
    }
  }

  protected error(
    code: GuestMemoryError['code'],
    reason: string,
    facts: ConstructorParameters<typeof GuestMemoryError>[2],
  ): GuestMemoryError {
    return new GuestMemoryError(code, reason, { memory: this.memory.name, ...facts });
  }

  /**
   * Translates a range, and hands over each run that the memory has; keeps none of them. A page that has no translation comes
   * before one that has no memory, wherever they are.
   */
  protected translateRange(
    gva: bigint,
    length: number,
    access: Access,
    operation: string,
    take: (run: VirtualRun) => void,
  ): void {
    this.checkEnd(gva, length, operation);
    const code = this.codeOf(access);
    let lo = halvesOfAddress[0] as number;
    let hi = halvesOfAddress[1] as number;
    const refusals: unknown[] = [];
    const finish = (gpa: number, count: number): void => {
      if (refusals.length > 0 || count === 0) return;
      try {
        this.memory.probe(gpa, count, access);
      } catch (cause) {
        refusals.push(cause);
        return;
      }
      take({ gpa, length: count });
    };
    let start = 0;
    let count = 0;
    for (let done = 0; done < length; ) {
      const gpa = this.translator.resolve(lo, hi, code);
      if (gpa < 0) throw this.fault(gva + BigInt(done), length, gva, code, operation);
      const step = Math.min(length - done, PAGE - (lo & (PAGE - 1)));
      if (start + count !== gpa) {
        finish(start, count);
        start = gpa;
        count = 0;
      }
      count += step;
      done += step;
      lo += step;
      if (lo >= 2 ** 32) {
        lo = 0;
        hi++;
      }
    }
    finish(start, count);
    for (const cause of refusals) throw this.refusal(cause, gva, length, operation, 0);
  }

  /** What the physical memory answered, as an error of the whole range. */
  private refusal(cause: unknown, gva: bigint, length: number, operation: string, done: number): unknown {
    if (!isGuestMemoryError(cause)) return cause;
    const { code, gpa, failedAt, ready } = cause;
    const place = failedAt ?? gpa;
    const where = place === undefined ? '' : ` at physical address ${hex(place)}`;
    return this.error(code, `the memory refuses the range from virtual address ${hex(gva)}${where}`, {
      operation,
      gpa,
      length,
      failedAt,
      done,
      ready,
      cause,
    });
  }
}

function doneBefore(error: unknown): number {
  return isGuestMemoryError(error) ? error.done : 0;
}
