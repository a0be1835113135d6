import type { PageAccess } from './access.ts';
import type { FaultReason } from './fault-reason.ts';
import { PagingError } from './paging-error.ts';
import type { PointerTags } from './pointer-tags.ts';
import type { Rights } from './rights.ts';

/** Controls with every default filled in, by name. */
export type ResolvedControls = Readonly<Record<string, number | boolean | string>>;

/**
 * What becomes of an entry that is not marked as accessed, or not as dirty where it is written through: nothing, as when
 * a debugger looks; a fault, as on a processor that leaves it to software; or it is marked by compare-and-swap, and the
 * walk begins again where somebody else changed the entry meanwhile.
 */
export type AccessedDirty = 'off' | 'fault' | 'update';

/** An access as the rules of an architecture look at it. */
export interface AccessFacts {
  readonly kind: 'read' | 'write' | 'execute';
  readonly user: boolean;
  /** The processor's own, where no instruction names the address; supervisor mode's. */
  readonly implicit: boolean;
  /** EFLAGS.AC of x86; only of explicit accesses by the supervisor. */
  readonly ac: boolean;
  /** A read or write of the shadow stack, by an instruction that is for it. */
  readonly shadowStack: boolean;
}

/** A fault as an architecture's code for it is made. */
export interface FaultFacts extends AccessFacts {
  readonly reason: FaultReason | 'not-canonical';
  /** Level of the entry that stopped the walk, as the architecture numbers it. */
  readonly level: number;
  /** What the entries down to that one allow together. */
  readonly rights: Rights;
  /** Whether the format has a bit that denies execution. */
  readonly deniesExecution: boolean;
  /** Whether a protection key forbids the access, be it the reason or not. */
  readonly keyForbids: boolean;
  /** Whether the leaf looks like one of a shadow stack, where these are in force; false where no leaf was reached. */
  readonly shadowStackLeaf: boolean;
  /** Whether the format has a bit for each of user-mode and supervisor-mode execution. */
  readonly tellsUserExecute: boolean;
  /** For a first stage: whether there is a second one below it. */
  readonly staged: boolean;
  /** For a second stage: what the first one wanted; `undefined` where there is no first stage. */
  readonly during: 'table-walk' | 'final-access' | undefined;
  /** For a second stage: the access that began it all. */
  readonly original: AccessFacts | undefined;
}

/** How a second stage is asked on behalf of a first one. */
export interface SecondStageAccess {
  /** Reading an entry of the first stage's tables. */
  readonly tableRead: PageAccess;
  /** Marking one as accessed or dirty. */
  readonly tableWrite: PageAccess;
  /** Whether the access to the page at the end counts as one of user mode. */
  userOf(access: AccessFacts, pageIsUser: boolean): boolean;
}

/** How a page of a shadow stack refuses an access, or the lack of one does. */
export type ShadowStackRefusal = 'rights' | 'shadow-stack';

/** Protection keys in force. */
export interface ProtectionKeys {
  /** Whether a page's key refuses an access; `rights` are those of the page. */
  forbids(rights: Rights, key: number, access: AccessFacts): boolean;
}

/**
 * What a format's description leaves to its architecture: who may do what with a page of given rights, and what a
 * fault is called. All of it is asked when a format is compiled or a fault is reported, never on the way.
 */
export interface Architecture<Controls = ResolvedControls> {
  /** Short: `x86`. */
  readonly name: string;
  /** Every control there is, with its default. `accessedDirty` is among them. */
  readonly controls: Controls;
  /** What is wrong with these controls; `undefined`: nothing. */
  complaint(controls: Controls): string | undefined;
  /** Width of a physical address: what an entry holds above is a fault. */
  physicalBits(controls: Controls): number;
  /** Whether an access is allowed on a page with these rights, keys aside. */
  allows(rights: Rights, access: AccessFacts, controls: Controls): boolean;
  /** What is set aside of pointers, where their upper bits may hold a program's own. */
  pointerTags?(controls: Controls, addressBits: number): PointerTags | undefined;
  /**
   * Where a format's shadow stacks are in force: why they refuse an access, on a page that is one or is none. Asked of all
   * accesses of the shadow stack, and of the others that the rights refuse already.
   */
  shadowStackRefuses?(
    rights: Rights,
    access: AccessFacts,
    isShadowStack: boolean,
    controls: Controls,
  ): ShadowStackRefusal | undefined;
  /** The architecture's own number for a fault; 0 where it has none. */
  faultCode(fault: FaultFacts, controls: Controls): number;
  /** Whether global pages are in force. */
  global(controls: Controls): boolean;
  /** How it serves as a second stage; absent where it cannot. */
  secondStage?(controls: Controls): SecondStageAccess;
  /** The protection keys in force, if there are any. */
  keys?(controls: Controls): ProtectionKeys | undefined;
}

/**
 * Fills in the defaults.
 *
 * @throws PagingError `invalid` where a control is none of the architecture's, or out of range
 */
export function resolveControls(architecture: Architecture, given: object = {}): ResolvedControls {
  const resolved: Record<string, number | boolean | string> = { ...architecture.controls };
  const fail = (why: string): PagingError => new PagingError('invalid', `Cannot use these controls: ${why}`);
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    const standard = resolved[name];
    if (standard === undefined) throw fail(`${name} is none of ${architecture.name}`);
    if (value === undefined) continue;
    if (typeof value !== typeof standard)
      throw fail(`current ${name} ${String(value)}, wanted a ${typeof standard}`);
    resolved[name] = value as number | boolean | string;
  }
  const marking = resolved['accessedDirty'];
  if (marking !== 'off' && marking !== 'fault' && marking !== 'update')
    throw fail(`current accessedDirty ${String(marking)}, wanted off, fault or update`);
  const complaint = architecture.complaint(resolved);
  if (complaint !== undefined) throw fail(complaint);
  return resolved;
}
