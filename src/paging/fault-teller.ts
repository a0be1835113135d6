import { accessFacts } from './access.ts';
import type { AccessFacts, FaultFacts } from './architecture.ts';
import { physical } from './bits.ts';
import type { CompiledFormat } from './compiled-format.ts';
import { type EntryReader, entryHalves } from './entry-reader.ts';
import type { FaultReason } from './fault-reason.ts';
import type { Level } from './level.ts';
import { rightsOf } from './rights.ts';
import { PROTECTION_KEY, RIGHTS, reasonOf, SHADOW_STACK } from './verdict.ts';
import type { WalkFault } from './walk-fault.ts';

/** Causes of a stop besides the verdicts of verdict.ts. */
export const NOT_CANONICAL = -1;
export const UNREADABLE = -2;
/** The root register holds an address beyond physical memory. */
export const NO_ROOT = -3;

/** On whose behalf a second stage is asked; its fault codes tell. */
export interface Asked {
  during: 'table-walk' | 'final-access' | undefined;
  original: AccessFacts | undefined;
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

const A_READ: AccessFacts = {
  kind: 'read',
  user: false,
  implicit: false,
  ac: false,
  shadowStack: false,
};

/** Tells why a walk ended: into the record that its users read, with the architecture's own number. Allocates nothing. */
export class FaultTeller {
  private readonly fault: WalkFault;
  private readonly compiled: CompiledFormat;
  private readonly reader: EntryReader;
  private readonly asked: Asked;
  private readonly facts: Mutable<FaultFacts>;

  constructor(fault: WalkFault, compiled: CompiledFormat, reader: EntryReader, asked: Asked) {
    this.fault = fault;
    this.compiled = compiled;
    this.reader = reader;
    this.asked = asked;
    this.facts = {
      ...A_READ,
      reason: 'not-present',
      level: 0,
      rights: rightsOf(0),
      deniesExecution: compiled.deniesExecution,
      keyForbids: false,
      shadowStackLeaf: false,
      tellsUserExecute: compiled.tellsUserExecute,
      staged: reader.staged === true,
      during: undefined,
      original: undefined,
    };
  }

  /**
   * @param cause - a verdict, or one of this file's
   * @param entryLo - address of the entry concerned: bits 31:0
   * @param lo - the virtual address: bits 31:0
   * @param rights - what the entries down to this one allow together; a leaf is what was read last
   */
  tell(
    cause: number,
    level: Level,
    entryLo: number,
    entryHi: number,
    lo: number,
    hi: number,
    access: number,
    rights: number,
  ): -1 {
    const { fault, compiled, facts, asked } = this;
    const { controls, keys } = compiled;
    const who = accessFacts(access) ?? A_READ;
    const allowed = rightsOf(compiled.complete(rights));
    fault.lo = lo >>> 0;
    fault.hi = hi >>> 0;
    fault.rights = -1;
    fault.errorCode = 0;
    let reason: FaultReason | 'not-canonical' = 'not-canonical';
    let keyForbids = false;
    let shadowStackLeaf = false;
    if (cause === NOT_CANONICAL) {
      fault.kind = 'not-canonical';
      fault.level = 0;
      fault.entryAddress = 0;
    } else {
      fault.level = level.format.level;
      fault.entryAddress = physical(entryLo, entryHi);
      if (cause === UNREADABLE) {
        fault.kind = this.reader.blocked ? 'second-stage' : 'table-unreadable';
        return -1;
      }
      fault.kind = 'page-fault';
      reason = cause === NO_ROOT ? 'address-size' : reasonOf(cause);
      if (cause === RIGHTS || cause === PROTECTION_KEY || cause === SHADOW_STACK) {
        const [leafLo = 0, leafHi = 0] = entryHalves;
        fault.rights = compiled.complete(rights);
        keyForbids = keys?.forbids(allowed, compiled.keyOf(leafHi), who) === true;
        shadowStackLeaf = compiled.shadowStacks?.isLeaf(leafLo, leafHi) === true;
      }
      fault.reason = reason;
    }
    facts.kind = who.kind;
    facts.user = who.user;
    facts.implicit = who.implicit;
    facts.ac = who.ac;
    facts.shadowStack = who.shadowStack;
    facts.reason = reason;
    facts.level = level.format.level;
    facts.rights = allowed;
    facts.keyForbids = keyForbids;
    facts.shadowStackLeaf = shadowStackLeaf;
    facts.during = asked.during;
    facts.original = asked.original;
    fault.errorCode = compiled.format.architecture.faultCode(facts, controls);
    return -1;
  }
}
