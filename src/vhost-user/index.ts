/**
 * The vhost-user room: a virtio device of this process, driven by a virtual machine in another one.
 *
 * @module
 */
export { VhostUserBackend, type VhostUserBackendOptions, type VhostUserLog } from './backend.ts';
export type { PeerError } from './peer-error.ts';
export { VhostUserServer, type VhostUserServerOptions } from './server.ts';
export {
  isVhostUserError,
  VhostUserError,
  type VhostUserErrorCode,
  type VhostUserErrorFacts,
} from './vhost-user-error.ts';
