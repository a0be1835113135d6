export type { AArch64Controls, AArch64Stage2Controls } from './aarch64-architecture.ts';
export {
  type AArch64Stage1Options,
  type AArch64Stage2Options,
  aarch64Stage1Format,
  aarch64Stage2Format,
} from './aarch64-formats.ts';
export {
  type AArch64Mode,
  type AArch64Processor,
  type AArch64Stage1Registers,
  type AArch64Stage2Registers,
  aarch64Stage1FromRegisters,
  aarch64Stage2FromRegisters,
} from './aarch64-registers.ts';
export { AArch64Translator, type AArch64TranslatorInit } from './aarch64-translator.ts';
export { ACCESS, accessCode, type PageAccess } from './access.ts';
export type { AddressTranslator, PageTranslator, WalkedPage } from './address-translator.ts';
export type {
  AccessedDirty,
  AccessFacts,
  Architecture,
  FaultFacts,
  ProtectionKeys,
  ResolvedControls,
  SecondStageAccess,
  ShadowStackRefusal,
} from './architecture.ts';
export type { Mask64 } from './bits.ts';
export { BufferTables } from './buffer-tables.ts';
export type { PagingControls } from './controls.ts';
export type { EditRange } from './edit-range.ts';
export type { EditStep } from './edit-step.ts';
export { EPT_4LEVEL, EPT_5LEVEL, type EptControls, eptFormat } from './ept-formats.ts';
export {
  type EptMode,
  eptModeFromPointer,
  type NptMode,
  type NptRegisters,
  nptModeFromRegisters,
} from './ept-registers.ts';
export type { ExecuteRequest } from './execute-rights.ts';
export type { FaultReason } from './fault-reason.ts';
export type {
  AddressField,
  AttributeField,
  AttributeName,
  EntryRule,
  LevelFormat,
  Marks,
  PagingFormat,
  Pattern,
  RightField,
  ShadowStackPages,
  SpecialLeaf,
} from './format.ts';
export { FORMATS, formatNamed } from './formats.ts';
export { FrameRange, type FrameSource } from './frames.ts';
export { GuestTables, type GuestTablesOptions } from './guest-tables.ts';
export type { Invalidation } from './invalidation.ts';
export { type MapResult, map } from './map.ts';
export type { MapRequest } from './map-request.ts';
export type {
  AliasRange,
  BudgetSpent,
  LeafDetails,
  MappedRange,
  MappingRecord,
  ReservedRange,
  SecondStageRange,
  UnreadableRange,
} from './mapping-record.ts';
export { type ListedTranslator, type MappingsOptions, mappings } from './mappings.ts';
export { type MergeResult, merge } from './merge.ts';
export { NPT_4LEVEL, NPT_5LEVEL } from './npt-formats.ts';
export { isPagingError, PagingError, type PagingErrorCode, type PagingErrorFacts } from './paging-error.ts';
export type { PointerTags } from './pointer-tags.ts';
export { prepareTables } from './prepare-tables.ts';
export { type ProtectRequest, type ProtectResult, protect } from './protect.ts';
export {
  type LookupStopped,
  type OfSpace,
  type ReverseLookupOptions,
  type ReverseRecord,
  reverseLookup,
  type StagedReverseRecord,
} from './reverse-lookup.ts';
export { ReverseMap } from './reverse-map.ts';
export { formatRights, type RightName, type Rights } from './rights.ts';
export type { RiscvControls, RiscvGuestControls } from './riscv-controls.ts';
export {
  RISCV_FORMATS,
  RISCV_SV32,
  RISCV_SV32X4,
  RISCV_SV39,
  RISCV_SV39X4,
  RISCV_SV48,
  RISCV_SV48X4,
  RISCV_SV57,
  RISCV_SV57X4,
} from './riscv-formats.ts';
export {
  type RiscvGuestRegisters,
  type RiscvPagingMode,
  type RiscvRegisters,
  riscvGuestModeFromRegisters,
  riscvModeFromRegisters,
} from './riscv-registers.ts';
export { createRoot, destroyRoot } from './root-table.ts';
export { type ShareRequest, type ShareResult, shareTables } from './share-tables.ts';
export type { StagedMappingRecord } from './staged-listing.ts';
export type { TableOps, TableReadOps } from './table-ops.ts';
export { Tlb, type TlbFence, type TlbOptions, type TlbSwitch } from './tlb.ts';
export type { TlbStage } from './tlb-space.ts';
export {
  describeTranslation,
  type MappedTranslation,
  type NotCanonical,
  type OneStageTranslation,
  type PageFault,
  type SecondStageFault,
  type TableUnreadable,
  type Translation,
  type WalkStep,
} from './translation.ts';
export { Translator } from './translator.ts';
export type { MemoryTranslatorInit, TablesTranslatorInit } from './translator-init.ts';
export {
  type MemoryTwoStageInit,
  type TablesTwoStageInit,
  TwoStageTranslator,
  type TwoStageTranslatorInit,
} from './two-stage-translator.ts';
export { type UnmapResult, unmap } from './unmap.ts';
export type { VirtualMemoryOptions } from './virtual-door.ts';
export { VirtualMemory } from './virtual-memory.ts';
export { WalkFault } from './walk-fault.ts';
export type { X86Controls } from './x86-controls.ts';
export { X86_4LEVEL, X86_5LEVEL, X86_32, X86_FORMATS, X86_PAE } from './x86-formats.ts';
export { type PagingMode, type PagingRegisters, pagingModeFromRegisters } from './x86-registers.ts';
