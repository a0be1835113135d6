/**
 * The house: which room may import which, always downward. `packages` are the dependencies that a room knows; a room
 * that is `portable` runs in a browser page and uses nothing of Node.
 *
 * @typedef {{ portable: boolean, rooms: readonly string[], packages: readonly string[] }} Room
 */

/** @type {Readonly<Record<string, Room>>} */
export const HOUSE = {
  core: { portable: true, rooms: [], packages: [] },
  paging: { portable: true, rooms: ['core'], packages: [] },
  virtio: { portable: true, rooms: ['core'], packages: [] },
  image: { portable: true, rooms: ['core'], packages: [] },
  host: { portable: false, rooms: ['core'], packages: ['koffi'] },
  'vhost-user': { portable: false, rooms: ['core', 'host', 'virtio'], packages: [] },
  qemu: { portable: false, rooms: ['core', 'host', 'paging', 'image'], packages: [] },
  cli: {
    portable: false,
    rooms: ['core', 'paging', 'virtio', 'image', 'host', 'vhost-user', 'qemu'],
    packages: ['commander', 'picocolors'],
  },
  web: { portable: true, rooms: ['core', 'paging', 'virtio', 'image'], packages: [] },
};
