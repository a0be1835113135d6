/**
 * vm-memory's address space: what a device holds instead of a memory, so that the map may change under it.
 * {@link GuestAddressSpace.memory} gives a snapshot that is never half of a change and stays whole while it is held.
 *
 * A {@link GuestMemory} is one whose map never changes; {@link AtomicAddressSpace} is one whose map does.
 */
export interface GuestAddressSpace<M> {
  /** The memory as it is now. Ask anew for each piece of work; keep it only for that long. */
  memory(): M;
}
