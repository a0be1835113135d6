/**
 * The host room: memory, descriptors and sockets of the operating system (Linux), the only room that knows a foreign-function
 * interface. Importing it loads nothing; the first use loads koffi.
 *
 * @module
 */
export { BlockingPoller } from './blocking-poller.ts';
export {
  closeDescriptor,
  type DescriptorInfo,
  type DescriptorKind,
  describeDescriptor,
  descriptorName,
  isSealedAgainstShrinking,
  setNonBlocking,
} from './descriptor.ts';
export { EventFd } from './event-fd.ts';
export { EventLoopPoller } from './event-loop-poller.ts';
export { HostError, type HostErrorCode, type HostErrorFacts, isHostError } from './host-error.ts';
export { type FileBacking, type MapFileOptions, mapFile } from './map-file.ts';
export { Memfd, type Seal } from './memfd.ts';
export { MAX_DESCRIPTORS } from './message-header.ts';
export { hostPageSize, type Overlay, type OverlayOptions, type OverlayTarget, overlay } from './overlay.ts';
export type { Interest, Poller, Watch } from './poller.ts';
export { UnixListener } from './unix-listener.ts';
export { type Received, UnixSocket } from './unix-socket.ts';
