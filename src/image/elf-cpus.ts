import { viewOf } from './elf-headers.ts';
import { EM_X86_64, NT_PRSTATUS, prstatus32, prstatus64, qemuNote } from './elf-layout.ts';
import type { ElfNote } from './elf-notes.ts';
import type { CpuState } from './memory-image.ts';

const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** L of a code segment, in the high half of its descriptor, which is what QEMU keeps as `flags`. */
const CS_LONG = 1 << 21;

/**
 * The processors of a dump: QEMU's own notes where there are any (control registers), else the general registers of
 * the PRSTATUS notes.
 *
 * @param machine - `e_machine`: 62 means that the first processor was in long mode (QEMU's cpu_get_dump_info)
 */
export function cpusOf(notes: readonly ElfNote[], machine: number): { cpus: CpuState[]; warnings: string[] } {
  const warnings: string[] = [];
  const cpus: CpuState[] = [];
  for (const note of notes) {
    if (note.name !== 'QEMU' || note.type !== 0) continue;
    const index = cpus.length;
    const version =
      note.description.length >= qemuNote.size ? viewOf(note.description).getUint32(0, true) : 0;
    if (version === 1) cpus.push(fromQemuNote(note, index, machine));
    else
      warnings.push(
        `A QEMU note of version ${version} and ${note.description.length} bytes is not understood`,
      );
  }
  if (cpus.length === 0) {
    for (const note of notes) {
      if (note.name === 'CORE' && note.type === NT_PRSTATUS) cpus.push(fromPrstatus(note, cpus.length));
    }
    warnings.push(
      cpus.length === 0
        ? 'It has no CPU notes: registers that choose the page tables have to be given'
        : 'Its CPU notes have no control registers: those that choose the page tables have to be given',
    );
  }
  return { cpus, warnings };
}

function fromQemuNote(note: ElfNote, index: number, machine: number): CpuState {
  const state = qemuNote.decode(viewOf(note.description), 0);
  const [cr0 = 0n, , cr2 = 0n, cr3 = 0n, cr4 = 0n] = state.cr;
  const long = isLong(cr0, cr4, state.cs.flags, machine);
  return {
    index,
    source: `QEMU note v1, long mode deduced from ${long.from}`,
    cr0,
    cr2,
    cr3,
    cr4,
    rip: state.rip,
    rsp: state.rsp,
    rflags: state.rflags,
    longMode: long.mode,
  };
}

/**
 * The note has no EFER. Long mode needs paging and PAE (Intel SDM volume 3, 4.1.1); with both on, a 64-bit code
 * segment proves it, and else (compatibility mode or a PAE kernel) `e_machine` tells for the first processor, which
 * the others follow.
 */
function isLong(cr0: bigint, cr4: bigint, csFlags: number, machine: number): { mode: boolean; from: string } {
  if ((cr0 & CR0_PG) === 0n) return { mode: false, from: 'CR0.PG' };
  if ((cr4 & CR4_PAE) === 0n) return { mode: false, from: 'CR4.PAE' };
  if ((csFlags & CS_LONG) !== 0) return { mode: true, from: 'CS.L' };
  return { mode: machine === EM_X86_64, from: 'e_machine' };
}

function fromPrstatus(note: ElfNote, index: number): CpuState {
  const view = viewOf(note.description);
  const source = 'PRSTATUS note';
  if (note.description.length === prstatus64.size) {
    const { rip, rsp, rflags } = prstatus64.decode(view, 0);
    return { index, source, rip, rsp, rflags };
  }
  if (note.description.length === prstatus32.size) {
    const { eip, esp, eflags } = prstatus32.decode(view, 0);
    return { index, source, rip: BigInt(eip), rsp: BigInt(esp), rflags: BigInt(eflags) };
  }
  return { index, source };
}
