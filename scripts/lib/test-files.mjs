import { filesUnder } from './paths.mjs';

/** Rooms whose tests run on every runtime. */
export const PORTABLE_ROOMS = ['core', 'paging', 'virtio', 'image'];

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

/**
 * Tests that race several threads, or start a virtual machine, want the processors for themselves.
 *
 * @param {string} file
 */
export function runsAlone(file) {
  return /\.(?:worker|qemu)\.test\.js$/.test(file);
}
