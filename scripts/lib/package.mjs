import { readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} PackageJson
 * @property {string} name
 * @property {string} version
 * @property {{ node: string }} engines
 * @property {Record<string, string | { types: string, default: string }>} exports
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 */

/**
 * @param {string} root
 * @returns {PackageJson}
 */
export function readPackage(root) {
  return JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
}
