/**
 * What the tests of one file came to, where node's reporter or a page tells.
 *
 * @typedef {object} Report
 * @property {number} passed
 * @property {{ name: string, why: string }[]} failed
 * @property {string[]} skipped each with its reason
 * @property {string[]} diagnostics what node says beside the tests, such as an error after their end
 */

export {};
