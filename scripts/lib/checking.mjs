/**
 * What a check found. No problems, and the summary says what was looked at: a check that looked at nothing shows.
 *
 * @typedef {{ problems: readonly string[], summary: string }} Finding
 */

export {};
