/** The pages a target maps, as guestmem lists them. */

import assert from 'node:assert/strict';
import type { MemoryImage } from 'guestmem/image';
import { type MappingRecord, mappings, pagingModeFromRegisters, Translator } from 'guestmem/paging';

/** One page. */
export type Mapped = Extract<MappingRecord, { kind: 'mapped' }>;

/** The address space of a target's first CPU. */
export function translatorOf(image: MemoryImage): Translator {
  const cpu = image.cpus[0];
  assert.ok(
    cpu?.cr0 !== undefined && cpu.cr3 !== undefined && cpu.cr4 !== undefined,
    'CPU 0 has its control registers',
  );
  const { cr0, cr3, cr4, efer, longMode } = cpu;
  const mode = pagingModeFromRegisters({
    ...{ cr0, cr3, cr4 },
    ...(efer === undefined ? {} : { efer }),
    ...(longMode === undefined ? {} : { longMode }),
  });
  assert.ok(mode.format !== undefined, mode.reason);
  return new Translator({
    memory: image.memory,
    format: mode.format,
    root: mode.root,
    // QEMU (TCG) marks PAE's PDPTEs.
    controls: { ...mode.controls, pdpteAccessed: true },
  });
}

/** Every mapped page, one by one, shared tables walked again; anything but a page would be a finding. */
export function leaves(image: MemoryImage): Mapped[] {
  const list: Mapped[] = [];
  for (const record of mappings(translatorOf(image), { coalesce: false, expandAliases: true })) {
    assert.equal(record.kind, 'mapped', `${record.kind} at 0x${record.gva.toString(16)}`);
    if (record.kind === 'mapped') list.push(record);
  }
  return list;
}
