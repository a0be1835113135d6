import { type GuestMemoryError, isGuestMemoryError } from '../core/index.ts';
import { type HostError, isHostError } from '../host/index.ts';
import { isQueueError, type QueueError } from '../virtio/index.ts';
import { isVhostUserError, type VhostUserError } from './vhost-user-error.ts';

/** An error that a guest or a front end can cause. It ends a ring or a connection, never the server. */
export type PeerError = VhostUserError | QueueError | GuestMemoryError | HostError;

/** Tells those errors from defects of this program, which are not to be swallowed. */
export function isPeerError(error: unknown): error is PeerError {
  return isVhostUserError(error) || isQueueError(error) || isGuestMemoryError(error) || isHostError(error);
}
