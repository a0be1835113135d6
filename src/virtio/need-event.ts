/**
 * Whether the other side asked to be told of the step from `previous` to `next` (virtio 1.3, 2.7.7.2 and 2.7.10.1):
 * true when the entry numbered `event` is one of those just added. All three are free-running 16-bit indices, so the
 * comparison wraps with them.
 *
 * `previous` is the index at the last time this was asked, not at the last notification.
 */
export function needsEvent(event: number, next: number, previous: number): boolean {
  return ((next - event - 1) & 0xffff) < ((next - previous) & 0xffff);
}
