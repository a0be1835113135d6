/**
 * A guest of 28 KiB: a multiboot kernel, assembled here byte by byte, that turns on long mode with tables which have pages of
 * 4 KiB, 2 MiB and 1 GiB, writes a mark through one of them, and halts with interrupts off. Its memory then stands still, so
 * that reading it twice, or in two ways, has to give the same bytes; and what its tables say is known beforehand.
 */

const LOAD = 0x10_0000;
const TABLES = {
  pml4: 0x10_1000,
  pdptLow: 0x10_2000,
  pd: 0x10_3000,
  pt: 0x10_4000,
  pdptHigh: 0x10_5000,
  pml5: 0x10_6000,
};
const END = 0x10_7000;

/** Entry 256 of the fourth level, under the last entry of a fifth one if there is one. */
const UPPER = 0xffff_8000_0000_0000n;

// Entry bits (Intel SDM volume 3, 4.5).
const P = 1n;
const W = 2n;
const U = 4n;
const PS = 0x80n;
const NX = 1n << 63n;

/** One run of pages of the guest's tables. */
export interface GuestPages {
  readonly gva: bigint;
  readonly gpa: number;
  readonly size: number;
  readonly pageSize: number;
  readonly writable: boolean;
  readonly user: boolean;
  readonly noExecute: boolean;
}

export interface LongModeGuest {
  /** For `-kernel`. */
  readonly kernel: Uint8Array;
  /** What CR3 will be. */
  readonly root: number;
  /** Where the mark appears once long mode is on, and what it is. */
  readonly mark: { readonly gpa: number; readonly value: bigint };
  /** What the tables map, by address. */
  readonly pages: readonly GuestPages[];
}

/** @param fiveLevel one level more on top (LA57), which takes `-cpu max`; as do its pages of 1 GiB. */
export function longModeGuest({ fiveLevel }: { fiveLevel: boolean }): LongModeGuest {
  const root = fiveLevel ? TABLES.pml5 : TABLES.pml4;
  const kernel = new Uint8Array(END - LOAD);
  const view = new DataView(kernel.buffer);
  const entry = (table: number, index: number, value: bigint): void =>
    view.setBigUint64(table - LOAD + index * 8, value, true);
  const to = (table: number): bigint => BigInt(table) | P | W | U;

  entry(TABLES.pml5, 0, to(TABLES.pml4));
  entry(TABLES.pml5, 511, to(TABLES.pml4));
  entry(TABLES.pml4, 0, to(TABLES.pdptLow));
  entry(TABLES.pml4, 256, to(TABLES.pdptHigh));
  entry(TABLES.pdptLow, 0, to(TABLES.pd));
  entry(TABLES.pd, 0, to(TABLES.pt));
  // The first 2 MiB by 4 KiB pages, but for page 0 and one in the middle; three have rights of their own.
  for (let i = 1; i < 512; i++) if (i !== 300) entry(TABLES.pt, i, BigInt(i * 4096) | P | W);
  entry(TABLES.pt, 400, BigInt(400 * 4096) | P | U);
  entry(TABLES.pt, 401, BigInt(401 * 4096) | P | W | U | NX);
  entry(TABLES.pt, 402, BigInt(402 * 4096) | P);
  // 2 to 8 MiB by 2 MiB pages.
  for (let i = 1; i < 4; i++) entry(TABLES.pd, i, BigInt(i * 0x20_0000) | P | W | PS);
  // The first GiB once more in the upper half, by one page that cannot be executed.
  entry(TABLES.pdptHigh, 0, P | W | PS | NX);

  const mark = { gpa: 0x20_0100, value: 0x21_4b52_414d_4d47n };
  kernel.set(code({ root, fiveLevel, markAt: UPPER + BigInt(mark.gpa), mark: mark.value }));
  return { kernel, root, mark, pages: pagesOf(fiveLevel) };
}

function pagesOf(fiveLevel: boolean): GuestPages[] {
  const page = 4096;
  const rights = { writable: true, user: false, noExecute: false };
  const at = (
    start: number,
    end: number,
    pageSize: number,
    own: Partial<typeof rights> = {},
  ): GuestPages => ({
    gva: BigInt(start),
    gpa: start,
    size: end - start,
    pageSize,
    ...rights,
    ...own,
  });
  const lowHalf = [
    at(page, 300 * page, page),
    at(301 * page, 400 * page, page),
    at(400 * page, 401 * page, page, { writable: false, user: true }),
    at(401 * page, 402 * page, page, { user: true, noExecute: true }),
    at(402 * page, 403 * page, page, { writable: false }),
    at(403 * page, 512 * page, page),
    at(0x20_0000, 0x80_0000, 0x20_0000),
  ];
  const gib: GuestPages = {
    gva: UPPER,
    gpa: 0,
    size: 2 ** 30,
    pageSize: 2 ** 30,
    ...rights,
    noExecute: true,
  };
  if (!fiveLevel) return [...lowHalf, gib];
  // Entries 0 and 511 of the fifth level lead to the same fourth level: everything is there twice, 0xffff << 48 apart.
  const top = 0xffff_0000_0000_0000n;
  return [
    ...lowHalf,
    { ...gib, gva: UPPER - top },
    ...lowHalf.map((run) => ({ ...run, gva: run.gva + top })),
    gib,
  ];
}

/** Header, 32-bit start, 64-bit end. */
function code(init: { root: number; fiveLevel: boolean; markAt: bigint; mark: bigint }): Uint8Array {
  const magic = 0x1bad_b002;
  const flags = 0x1_0000; // The addresses below are valid: no ELF needed.
  const gdt = LOAD + 0x80;
  const gdtr = LOAD + 0x90;
  const start = LOAD + 0x20;
  const bytes: number[] = [];
  const emit = (...values: number[]): void => void bytes.push(...values);
  const emit32 = (value: number): void => emit(...new Uint8Array(Uint32Array.of(value).buffer));
  const emit64 = (value: bigint): void => emit(...new Uint8Array(BigUint64Array.of(value).buffer));
  const pad = (to: number): void => {
    while (bytes.length < to) emit(0);
  };
  for (const word of [magic, flags, -(magic + flags), LOAD, LOAD, END, END, start]) emit32(word >>> 0);

  emit(0xfa); // cli
  emit(0x0f, 0x20, 0xe0, 0x0d); // mov eax, cr4; or eax, PAE (and LA57)
  emit32(init.fiveLevel ? 0x1020 : 0x20);
  emit(0x0f, 0x22, 0xe0, 0xb8); // mov cr4, eax; mov eax, root
  emit32(init.root);
  emit(0x0f, 0x22, 0xd8, 0xb9); // mov cr3, eax; mov ecx, EFER
  emit32(0xc000_0080);
  emit(0x0f, 0x32, 0x0d); // rdmsr; or eax, LME and NXE
  emit32(0x900);
  emit(0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x0d); // wrmsr; mov eax, cr0; or eax, PG, WP and PE
  emit32(0x8001_0001);
  emit(0x0f, 0x22, 0xc0, 0x0f, 0x01, 0x15); // mov cr0, eax; lgdt [gdtr]
  emit32(gdtr);
  const target = LOAD + bytes.length + 7;
  emit(0xea); // ljmp 8:target
  emit32(target);
  emit(0x08, 0x00);
  emit(0x48, 0xb8); // mov rax, markAt
  emit64(init.markAt);
  emit(0x48, 0xb9); // mov rcx, mark
  emit64(init.mark);
  emit(0x48, 0x89, 0x08, 0xf4, 0xeb, 0xfd); // mov [rax], rcx; hlt; jmp to the hlt

  pad(gdt - LOAD);
  emit64(0n);
  emit64(0x00af_9a00_0000_ffffn); // A 64-bit code segment.
  emit(0x0f, 0x00);
  emit32(gdt);
  return Uint8Array.from(bytes);
}
