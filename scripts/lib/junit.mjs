/**
 * Counts the test cases of a JUnit report as Bun and Deno write them. Deno lists suites as cases too: a case whose
 * name begins the name of another is one.
 *
 * @param {string} xml
 * @returns {{ passed: number, failed: number, skipped: string[] }}
 */
export function countCases(xml) {
  const cases = [...xml.matchAll(/<testcase\s([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map((match) => ({
    name: /\bname="([^"]*)"/.exec(match[1] ?? '')?.[1] ?? '',
    inner: match[2] ?? '',
  }));
  const leaves = cases.filter(({ name }) => !cases.some((other) => other.name.startsWith(`${name} &gt; `)));
  const failed = leaves.filter(({ inner }) => /<(?:failure|error)\b/.test(inner)).length;
  const skipped = leaves.filter(({ inner }) => /<skipped\b/.test(inner)).map(({ name }) => name);
  return { passed: leaves.length - failed - skipped.length, failed, skipped };
}
