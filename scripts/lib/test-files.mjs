import { existsSync } from 'node:fs';
import path from 'node:path';
import { filesUnder } from './paths.mjs';

/** Rooms whose tests run on every runtime. */
export const PORTABLE_ROOMS = ['core', 'paging', 'virtio', 'image'];

/** What the tests with a real machine call. */
const MACHINE_TOOLS = [
  'qemu-system-x86_64',
  'qemu-img',
  'qemu-storage-daemon',
  'busybox',
  'mke2fs',
  'e2fsck',
  'cpio',
];

/**
 * The tests as node runs them: compiled ones, and those of the scripts, which are not compiled.
 *
 * @param {string} root
 * @returns {string[]}
 */
export function allTests(root) {
  return [
    ...filesUnder(root, 'dist/test', (file) => file.endsWith('.test.js')),
    ...filesUnder(root, 'test/scripts', (file) => file.endsWith('.test.mjs')),
  ];
}

/**
 * @param {string} root
 * @returns {string[]} the tests of the rooms that run anywhere
 */
export function portableTests(root) {
  return PORTABLE_ROOMS.flatMap((room) =>
    filesUnder(root, `dist/test/${room}`, (file) => file.endsWith('.test.js')),
  );
}

/** @param {string} file */
export function needsMachine(file) {
  return file.endsWith('.qemu.test.js');
}

/**
 * @param {string} [searchPath]
 * @returns {string[]} tools of the machine tests that are not installed
 */
export function missingTools(searchPath = process.env['PATH'] ?? '') {
  // Debian keeps the file-system tools where only root's path leads.
  const folders = [...searchPath.split(path.delimiter), '/usr/sbin', '/sbin'];
  return MACHINE_TOOLS.filter((tool) => !folders.some((folder) => existsSync(path.join(folder, tool))));
}
