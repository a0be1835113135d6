import { array, bytesField, type Layout, struct, u8, u16, u32, u64 } from '../core/index.ts';

// ELF as the System V gABI lays it down (chapter 4 "Object Files", chapter 5 "Program Loading"), little-endian.

/** What is read of the part of the ELF header that is the same in both classes. */
interface ElfIdent {
  magic: Uint8Array;
  class: number;
  data: number;
  type: number;
  machine: number;
}

/** `e_ident` and the three fields after it, which are the same in both classes. */
export const elfIdent: Layout<ElfIdent> = struct({
  magic: bytesField(4),
  class: u8,
  data: u8,
  rest: bytesField(10),
  type: u16,
  machine: u16,
  version: u32,
});

export const ELF_MAGIC: readonly number[] = [0x7f, 0x45, 0x4c, 0x46];
export const ELFDATA2LSB = 1;
export const ET_CORE = 4;
export const PT_LOAD = 1;
export const PT_NOTE = 4;
/** `e_phnum` when there are more program headers than 16 bits count: the true number is `sh_info` of section 0. */
export const PN_XNUM = 0xffff;
export const EM_X86_64 = 62;

/** Names of `e_machine` for people; the ones QEMU's system emulators dump, mostly. */
export const MACHINES: ReadonlyMap<number, string> = new Map([
  [3, 'i386'],
  [20, 'ppc'],
  [21, 'ppc64'],
  [22, 's390x'],
  [40, 'arm'],
  [62, 'x86_64'],
  [183, 'aarch64'],
  [243, 'riscv'],
  [258, 'loongarch'],
]);

interface HeaderFields {
  phoff: number | bigint;
  shoff: number | bigint;
  phentsize: number;
  phnum: number;
  shnum: number;
}

/** A program header: what lies where, in the file and in memory. */
export interface ProgramHeaderFields {
  type: number;
  offset: number | bigint;
  vaddr: number | bigint;
  paddr: number | bigint;
  filesz: number | bigint;
  memsz: number | bigint;
}

/** The three tables of one ELF class. `e_ehsize` is not among what is read: QEMU writes 8 there. */
export interface ElfClass {
  readonly header: Layout<HeaderFields>;
  readonly programHeader: Layout<ProgramHeaderFields>;
  /** Section 0, for its `sh_info`. */
  readonly section: Layout<{ info: number }>;
}

const class64: ElfClass = {
  header: struct({
    ident: elfIdent,
    entry: u64,
    phoff: u64,
    shoff: u64,
    flags: u32,
    ehsize: u16,
    phentsize: u16,
    phnum: u16,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
  }),
  programHeader: struct({
    type: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
  }),
  section: struct({
    name: u32,
    type: u32,
    flags: u64,
    addr: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    addralign: u64,
    entsize: u64,
  }),
};

const class32: ElfClass = {
  header: struct({
    ident: elfIdent,
    entry: u32,
    phoff: u32,
    shoff: u32,
    flags: u32,
    ehsize: u16,
    phentsize: u16,
    phnum: u16,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
  }),
  programHeader: struct({
    type: u32,
    offset: u32,
    vaddr: u32,
    paddr: u32,
    filesz: u32,
    memsz: u32,
    flags: u32,
    align: u32,
  }),
  section: struct({
    name: u32,
    type: u32,
    flags: u32,
    addr: u32,
    offset: u32,
    size: u32,
    link: u32,
    info: u32,
    addralign: u32,
    entsize: u32,
  }),
};

/** The tables by `EI_CLASS`. */
export const ELF_CLASSES: ReadonlyMap<number, ElfClass> = new Map([
  [1, class32],
  [2, class64],
]);

/** The head of a note: then come the name and the description, each padded to 4 bytes. */
export const noteHeader: Layout<{ namesz: number; descsz: number; type: number }> = struct({
  namesz: u32,
  descsz: u32,
  type: u32,
});

export const NT_PRSTATUS = 1;

const segment = struct({ selector: u32, limit: u32, flags: u32, pad: u32, base: u64 });

/** What is read of {@link qemuNote}. */
interface QemuNote {
  rip: bigint;
  rsp: bigint;
  rflags: bigint;
  cs: { flags: number };
  /** CR0 to CR4. */
  cr: bigint[];
}

/** QEMU's own note, `QEMUCPUState` of its target/i386/arch_dump.c: 440 bytes, the same in both classes. */
export const qemuNote: Layout<QemuNote> = struct({
  version: u32,
  size: u32,
  rax: u64,
  rbx: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  rsp: u64,
  rbp: u64,
  r8to15: array(u64, 8),
  rip: u64,
  rflags: u64,
  cs: segment,
  ds: segment,
  es: segment,
  fs: segment,
  gs: segment,
  ss: segment,
  ldt: segment,
  tr: segment,
  gdt: segment,
  idt: segment,
  cr: array(u64, 5),
  kernelGsBase: u64,
});

/** Linux `struct elf_prstatus` of x86-64: 336 bytes. */
export const prstatus64: Layout<{ rip: bigint; rsp: bigint; rflags: bigint }> = struct({
  head: bytesField(112),
  /** r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi. */
  general: array(u64, 15),
  origRax: u64,
  rip: u64,
  cs: u64,
  rflags: u64,
  rsp: u64,
  ss: u64,
  tail: bytesField(56),
});

/** Linux `struct elf_prstatus` of i386: 144 bytes. */
export const prstatus32: Layout<{ eip: number; esp: number; eflags: number }> = struct({
  head: bytesField(72),
  ebx: u32,
  ecx: u32,
  edx: u32,
  esi: u32,
  edi: u32,
  ebp: u32,
  eax: u32,
  dsEsFsGs: array(u32, 4),
  origEax: u32,
  eip: u32,
  cs: u32,
  eflags: u32,
  esp: u32,
  ss: u32,
  tail: bytesField(4),
});
