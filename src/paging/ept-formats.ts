import type { Architecture } from './architecture.ts';
import { bits, NONE, union } from './bits.ts';
import type { AddressField, EntryRule, LevelFormat, PagingFormat, Pattern, RightField } from './format.ts';

// Intel's extended page tables (SDM 3C, 29.3 "The Extended Page Table Mechanism", tables 29-1 to 29-7). They are the
// second stage under a guest's own tables: their input is a guest-physical address.

/** What depends on the processor and on the EPTP. */
export interface EptControls {
  /** MAXPHYADDR, 32 to 52: address bits from here up are reserved. Default 52. */
  readonly maxPhyAddr?: number;
  /** IA32_VMX_EPT_VPID_CAP bit 0: an entry may allow execution without reading. Default true. */
  readonly executeOnly?: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 16: pages of 2 MiB. Default true. */
  readonly megabytePages?: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 17: pages of 1 GiB. Default true. */
  readonly gigabytePages?: boolean;
  /**
   * Bit 7 of the EPTP, "supervisor shadow-stack control": bit 60 of a leaf says which pages, writable or not, a guest's
   * supervisor may use as shadow stacks, and it may use no others. Default false.
   */
  readonly supervisorShadowStacks?: boolean;
  /** Bit 6 of the EPTP: `update` marks entries, and makes the guest's own table reads count as writes. Default `off`. */
  readonly accessedDirty?: 'off' | 'update';
}

const READ = 0;
const WRITE = 1;
const EXECUTE = 2;
const LARGE = 7;
/** Memory type 6, in bits 5:3. */
const WRITE_BACK = bits(5, 4);
/** With mode-based execute control: execution by user-mode linear addresses. */
const USER_EXECUTE = 10;
const SUPERVISOR_SHADOW_STACK = bits(60);

const pattern = (mask: Pattern['mask'], value: Pattern['value']): Pattern => ({ mask, value });
const misconfigured = (mask: Pattern['mask'], value: Pattern['value']): EntryRule => ({
  reason: 'misconfigured',
  pattern: pattern(mask, value),
});
const reserved = (mask: Pattern['mask']): EntryRule => ({ reason: 'misconfigured', anyOf: mask });

/** SDM 3C, 27.2.1 "Basic VM-Exit Information", table 28-7 "Exit Qualification for EPT Violations". */
export const EPT: Architecture<Required<EptControls>> = {
  name: 'ept',
  controls: {
    maxPhyAddr: 52,
    executeOnly: true,
    megabytePages: true,
    gigabytePages: true,
    supervisorShadowStacks: false,
    accessedDirty: 'off',
  },

  complaint({ maxPhyAddr, accessedDirty }) {
    if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52)
      return `current maxPhyAddr ${maxPhyAddr}, wanted 32 to 52`;
    const marking: string = accessedDirty;
    return marking === 'fault' ? 'current accessedDirty fault, wanted off or update' : undefined;
  },

  physicalBits: ({ maxPhyAddr }) => maxPhyAddr,
  global: () => false,

  /** 29.3.3.2 "EPT Violations". `user` is that of the linear address, which only mode-based execute control looks at. */
  allows(rights, { kind, user }) {
    switch (kind) {
      case 'read':
        return rights.read;
      case 'write':
        // An access that writes a guest's table reads it too; write without read is a misconfiguration anyway.
        return rights.write;
      case 'execute':
        return user ? rights.execute : rights.supervisorExecute;
    }
  },

  /**
   * 29.3.3.2: where the control is on, supervisor-mode accesses to shadow stacks need a page that is marked for them; others go
   * by reading and writing alone.
   */
  shadowStackRefuses(rights, access, isShadowStack, controls) {
    if (access.shadowStack && !access.user) return isShadowStack && rights.read ? undefined : 'shadow-stack';
    return EPT.allows(rights, access, controls) ? undefined : 'rights';
  },

  faultCode({ reason, kind, during, rights, tellsUserExecute, shadowStack, shadowStackLeaf }) {
    if (reason === 'misconfigured') return 0;
    let code = kind === 'read' || during === 'table-walk' ? 1 : 0;
    if (kind === 'write') code |= 2;
    if (kind === 'execute') code |= 4;
    // Bits 6:3 are cleared if any of the entries is not present.
    if (reason === 'rights' || reason === 'shadow-stack') {
      if (rights.read) code |= 8;
      if (rights.write) code |= 16;
      if (rights.supervisorExecute) code |= 32;
      if (tellsUserExecute && rights.execute) code |= 64;
    }
    // Bit 7: there is a linear address; bit 8: the access is to its translation, not to a table on the way.
    if (during !== undefined) code |= during === 'final-access' ? 0x180 : 0x80;
    // Bit 13: an access to the shadow stack; bit 14: bit 60 of the leaf, where it is in force.
    if (shadowStack) code |= 0x2000;
    if (shadowStackLeaf) code |= 0x4000;
    return code;
  },

  secondStage: ({ accessedDirty }) => ({
    // 29.3.5: with accessed and dirty flags for EPT, accesses to guest paging structures are treated as writes.
    tableRead: { kind: accessedDirty === 'update' ? 'write' : 'read' },
    tableWrite: { kind: 'write' },
    // 29.3.2: a user-mode linear address is one whose guest entries all have U/S set, whoever accesses it.
    userOf: (_access, pageIsUser) => pageIsUser,
  }),
};

const NOT_PRESENT_BITS = bits(EXECUTE, READ);

function levelsOf(modeBased: boolean, count: 4 | 5): LevelFormat[] {
  const present = modeBased ? union(NOT_PRESENT_BITS, bits(USER_EXECUTE)) : NOT_PRESENT_BITS;
  const executeBits = modeBased ? [EXECUTE, USER_EXECUTE] : [EXECUTE];
  const common = {
    indexBits: 9,
    rules: [
      { reason: 'not-present', pattern: pattern(present, NONE) },
      // 29.3.3.1 "EPT Misconfigurations"
      misconfigured(bits(WRITE, READ), bits(WRITE)),
      ...executeBits.map(
        (bit): EntryRule => ({
          ...misconfigured(union(bits(READ), bits(bit)), bits(bit)),
          unless: 'executeOnly',
        }),
      ),
      { reason: 'misconfigured', tooWide: true },
    ] satisfies EntryRule[],
    tableRules: [reserved(bits(6, 3))],
    // Memory types 2, 3 and 7 (bits 5:3).
    leafRules: [
      misconfigured(bits(5, 3), bits(4)),
      misconfigured(bits(5, 3), bits(4, 3)),
      misconfigured(bits(5, 3), bits(5, 3)),
    ],
    leafAddress: [],
    newLeaf: NONE,
    usualLeaf: union(present, WRITE_BACK),
    newTable: present,
  };
  const address = (low: number): AddressField => ({ from: low, bits: 52 - low, to: low });
  const upper: LevelFormat = {
    ...common,
    level: 4,
    entry: 'EPT PML4E',
    indexBit: 39,
    table: 'always',
    tableRules: [reserved(bits(7, 3))],
  };
  const large = {
    ...common,
    table: pattern(bits(LARGE), NONE),
    newLeaf: bits(LARGE),
    usualLeaf: union(present, WRITE_BACK, bits(LARGE)),
  };
  return [
    ...(count === 5 ? [{ ...upper, level: 5, entry: 'EPT PML5E', indexBit: 48 }] : []),
    upper,
    {
      ...large,
      level: 3,
      entry: 'EPT PDPTE',
      indexBit: 30,
      leafRules: [
        ...common.leafRules,
        reserved(bits(29, 12)),
        { ...reserved(bits(LARGE)), unless: 'gigabytePages' },
      ],
      leafAddress: [address(30)],
    },
    {
      ...large,
      level: 2,
      entry: 'EPT PDE',
      indexBit: 21,
      leafRules: [
        ...common.leafRules,
        reserved(bits(20, 12)),
        { ...reserved(bits(LARGE)), unless: 'megabytePages' },
      ],
      leafAddress: [address(21)],
    },
    { ...common, level: 1, entry: 'EPT PTE', indexBit: 12, table: 'never', leafAddress: [address(12)] },
  ];
}

/**
 * Extended page tables of four or five levels.
 *
 * @param options.levels - page-walk length: bits 5:3 of the EPTP, plus 1
 * @param options.modeBasedExecute - the VM-execution control "mode-based execute control for EPT": bit 10 of an entry allows
 * execution by user-mode linear addresses, bit 2 by supervisor-mode ones. Default false
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory } from 'guestmem';
 * import { eptFormat, Translator } from 'guestmem/paging';
 *
 * const memory = GuestMemory.allocate(0x4000);
 * memory.writeU64(0x0, 0x1007n); // EPT PML4E
 * memory.writeU64(0x1000, 0xb1n | 0x8000_0000n); // EPT PDPTE: a page of 1 GiB, write-back, read only
 * const ept = new Translator({ memory, format: eptFormat({ levels: 4 }), root: 0 });
 *
 * const mapped = ept.translate(0x1234n);
 * assert(mapped.kind === 'mapped');
 * assert.equal(mapped.gpa, 0x8000_1234);
 * const violation = ept.translate(0x1234n, { kind: 'write' });
 * assert(violation.kind === 'page-fault');
 * assert.equal(violation.errorCode, 0b1010); // a write, where reading is allowed
 * ```
 */
export function eptFormat(options: {
  readonly levels: 4 | 5;
  readonly modeBasedExecute?: boolean;
}): PagingFormat {
  const { levels, modeBasedExecute = false } = options;
  const execute: readonly RightField[] = modeBasedExecute
    ? [
        { right: 'supervisorExecute', bit: EXECUTE, tableBit: EXECUTE },
        { right: 'execute', bit: USER_EXECUTE, tableBit: USER_EXECUTE },
      ]
    : [{ right: 'execute', bit: EXECUTE, tableBit: EXECUTE }];
  return {
    name: `ept-${levels}level${modeBasedExecute ? '-mbec' : ''}`,
    title: `EPT ${levels}-level${modeBasedExecute ? ', mode-based execute control' : ''}`,
    architecture: EPT,
    addressBits: levels * 9 + 12,
    upperBits: 'zeros',
    entrySize: 8,
    root: bits(51, 12),
    tableAddress: [{ from: 12, bits: 40, to: 12 }],
    tableSize: 4096,
    physicalBits: 52,
    rights: [
      { right: 'read', bit: READ, tableBit: READ },
      { right: 'write', bit: WRITE, tableBit: WRITE },
      ...execute,
    ],
    attributes: [
      { attribute: 'memoryType', from: 3, bits: 3 },
      { attribute: 'accessed', from: 8, bits: 1 },
      { attribute: 'dirty', from: 9, bits: 1 },
      { attribute: 'software', from: 52, bits: 5 },
    ],
    // SDM 3A, table 12-10 "Memory Types": 0 is uncacheable, 6 write-back.
    writeBack: 6,
    // Readable down to the page (which its rights tell), and writable down to the table above it.
    shadowStacks: {
      when: 'supervisorShadowStacks',
      leaf: pattern(SUPERVISOR_SHADOW_STACK, SUPERVISOR_SHADOW_STACK),
      tables: bits(WRITE, READ),
    },
    marks: { accessed: 8, tables: true, dirty: { bit: 9 } },
    levels: levelsOf(modeBasedExecute, levels),
  };
}

/** Extended page tables of four levels, without mode-based execute control. */
export const EPT_4LEVEL: PagingFormat = eptFormat({ levels: 4 });

/** Extended page tables of five levels, without mode-based execute control. */
export const EPT_5LEVEL: PagingFormat = eptFormat({ levels: 5 });
