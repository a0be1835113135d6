export type { Access } from './access.ts';
export { GuestMemoryAccessor } from './accessor.ts';
export { ADDRESS_SPACE_SIZE, isGpa, PAGE_SIZE, toGpa } from './addresses.ts';
export { alias } from './alias-backing.ts';
export { AtomicAddressSpace } from './atomic-address-space.ts';
export {
  type FallbackAccess,
  MAX_PIECE,
  type MemoryBacking,
  type WasmMemory,
  type WasmWindow,
} from './backing.ts';
export { bytes, callbacks, heap, shared, wasm } from './backings.ts';
export { compare, indexOf, isZero } from './compare.ts';
export { type DirtyRange, DirtyTracking, type DirtyTrackingOptions, trackDirty } from './dirty-tracking.ts';
export type { Closable, Releasable } from './disposable.ts';
export {
  GuestMemoryError,
  type GuestMemoryErrorCode,
  type GuestMemoryErrorFacts,
  isGuestMemoryError,
  pending,
} from './errors.ts';
export type { GuestAddressSpace } from './guest-address-space.ts';
export { type AllocateOptions, GuestMemory, type MemoryOptions } from './guest-memory.ts';
export { hex } from './hex.ts';
export type { HostRun, HostTranslator } from './host-run.ts';
export { type IotlbMissHandler, iotlbFaults } from './iommu-translation.ts';
export { IommuView, type IommuViewOptions } from './iommu-view.ts';
export {
  Iotlb,
  type IotlbEntry,
  type IotlbFault,
  type IotlbLookup,
  type IotlbOptions,
  type IotlbRights,
} from './iotlb.ts';
export {
  f32,
  f32be,
  f64,
  f64be,
  type Infer,
  type IntegerType,
  i8,
  i16,
  i16be,
  i32,
  i32be,
  i64,
  i64be,
  type Layout,
  type ScalarType,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
} from './layout.ts';
export { LockedPages } from './locked-pages.ts';
export { LockedRange, lockRange } from './locked-range.ts';
export type { GuestRegion, RegionInit } from './memory-map.ts';
export { MemoryView, MemoryViews } from './memory-view.ts';
export { copyOnWrite, lazy } from './on-demand.ts';
export { PageRights, type Rights, type SharedPageRights } from './page-rights.ts';
export type { PageWindow } from './page-window.ts';
export { type GuestRun, PagedRange } from './paged-range.ts';
export { PagedRangeReader, PagedRangeWriter } from './paged-range-stream.ts';
export type { OnDemandBacking, OnDemandKind, OnDemandOptions, PageSource } from './pages-on-demand.ts';
export { ProtectedView, type ProtectionOptions } from './protection.ts';
export { fillRange, readRange, writeRange, zeroRange } from './range-access.ts';
export { RangeViews, rangeViews } from './range-views.ts';
export { type Hole, readPresent } from './read-present.ts';
export { settle } from './settle.ts';
export {
  SharedAddressSpace,
  type SharedAddressSpaceOptions,
} from './shared-address-space.ts';
export { AttachedAddressSpace, type AttachOptions, PinnedMemory } from './shared-address-space-attached.ts';
export type { RegionMessage, SharedSpaceHandle, SpacePort } from './shared-address-space-handle.ts';
export type { SharedBufferHandle } from './shared-buffer.ts';
export { type AttachMemoryOptions, attach, attachTracking, type MemoryHandle, share } from './sharing.ts';
export type { SharedPagesHandle } from './sharing-pages.ts';
export type { SharedPieceHandle, SharedRegionHandle, SourceOfRegion } from './sharing-region.ts';
export {
  capture,
  difference,
  fork,
  restore,
  type Snapshot,
  type SnapshotRegion,
  snapshotSource,
} from './snapshot.ts';
export {
  array,
  bytesField,
  type StructFields,
  type StructLayout,
  type StructValue,
  struct,
} from './struct-layout.ts';
export { notify, type WaitResult, wait, waitAsync } from './wait.ts';
