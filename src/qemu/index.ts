// guestmem/qemu: memory images that are files, QEMU's machine protocol, and live virtual machines.

export { type AttachOptions, attachQemu } from './attach-qemu.ts';
export { FileByteSource, openImageFile } from './file-byte-source.ts';
export type { Rung } from './guest-ram.ts';
export type { JsonObject } from './json.ts';
export { QemuMachine, type QemuMachineParts } from './qemu-machine.ts';
export { QmpClient, type QmpEvent, type QmpOptions } from './qmp-client.ts';
export { isQmpError, QmpError, type QmpErrorCode, type QmpErrorFacts } from './qmp-error.ts';
