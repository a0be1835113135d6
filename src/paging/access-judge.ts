import { ACCESS_CODES, accessFacts } from './access.ts';
import type { CompiledFormat } from './compiled-format.ts';
import type { Marker } from './marker.ts';
import { PagingError } from './paging-error.ts';
import { rightsOf } from './rights.ts';
import { ACCESS_FLAG, PROTECTION_KEY, RIGHTS, SHADOW_STACK } from './verdict.ts';

/** Judges the accesses that rights alone do not settle: where shadow stacks, protection keys or marks have a say. */
export class AccessJudge {
  private readonly compiled: CompiledFormat;
  /** Says whether a leaf has its marks, where a missing one is a fault that comes after those of the rights. */
  private readonly markTest: Marker | undefined;

  constructor(compiled: CompiledFormat, markTest: Marker | undefined) {
    this.compiled = compiled;
    this.markTest = markTest;
  }

  /**
   * 0, or the verdict why not.
   *
   * @param andLo - the AND of the lower halves of the tables above the leaf `entryHi:entryLo`
   * @param rights - what all of them allow together
   * @throws PagingError `invalid` for a number that is no access
   */
  judge(andLo: number, entryLo: number, entryHi: number, rights: number, access: number): number {
    const { compiled } = this;
    const { controls, keys, shadowStacks } = compiled;
    const facts = accessFacts(access);
    if (facts === undefined) {
      throw new PagingError(
        'invalid',
        `Cannot translate: current access code ${access}, wanted one of ACCESS`,
      );
    }
    const told = rightsOf(compiled.complete(rights));
    if ((((compiled.permitted[access] as number) >>> rights) & 1) === 0) {
      if (shadowStacks === undefined) return RIGHTS;
      const isOne = shadowStacks.has(andLo, entryLo, entryHi);
      const why = compiled.format.architecture.shadowStackRefuses?.(told, facts, isOne, controls);
      if (why !== undefined) return why === 'rights' ? RIGHTS : SHADOW_STACK;
    }
    if (keys?.forbids(told, compiled.keyOf(entryHi), facts) === true) return PROTECTION_KEY;
    if (this.markTest?.isMarked(entryLo, facts.kind === 'write') === false) return ACCESS_FLAG;
    return 0;
  }

  /** Of some access codes, a bit for each, those that are allowed. */
  allowed(andLo: number, entryLo: number, entryHi: number, rights: number, codes: number): number {
    let allowed = 0;
    for (let code = 0; code < ACCESS_CODES; code++) {
      if (((codes >>> code) & 1) === 0) continue;
      if (this.judge(andLo, entryLo, entryHi, rights, code) === 0) allowed |= 1 << code;
    }
    return allowed;
  }
}
