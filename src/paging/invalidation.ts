/**
 * What has to go from the hardware's caches after tables were changed. Which instruction that is, docs/guides/tlb.md tells.
 */
export interface Invalidation {
  readonly gva: bigint;
  /** Bytes. */
  readonly size: number;
  /** Bytes in each page that may be cached. */
  readonly pageSize: number;
  /**
   * Why: the pages are mapped no more; they allow less or are of another kind; they allow more; they are mapped as before by
   * leaves of another size; or they are mapped now and were not before, on architectures that may remember that.
   * Added and widened ones may be left to a spurious fault on x86, which then looks again (SDM 3A, 5.10.4.3).
   */
  readonly why: 'removed' | 'changed' | 'widened' | 'resized' | 'added';
  /**
   * One of the pages was global, or is or may be now. Instructions that spare global pages do not do for it: INVPCID 0, 1 and 3, MOV to
   * CR3, TLBI ASIDE1, SFENCE.VMA with rs2.
   */
  readonly global: boolean;
  /** A table on the way was replaced: what is cached of tables has to go as well, and not only of leaves. */
  readonly tables: boolean;
  /**
   * The table that was changed is one that other entries lead to ({@link EditRange.changeShared}): the same goes for the
   * addresses there, in each address space that shares it.
   */
  readonly shared?: true;
}
