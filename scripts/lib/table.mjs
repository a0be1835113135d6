/**
 * Sets rows in columns, for a terminal or for Markdown. The first column is text, the others figures.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 * @param {boolean} markdown
 * @returns {string}
 */
export function table(head, rows, markdown) {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  /** @param {readonly string[]} row */
  const cells = (row) =>
    widths.map((width, column) => {
      const cell = row[column] ?? '';
      return column < 2 ? cell.padEnd(width) : cell.padStart(width);
    });
  const [left, between, right] = markdown ? ['| ', ' | ', ' |'] : ['', '  ', ''];
  /** @param {readonly string[]} row */
  const line = (row) => `${left}${cells(row).join(between)}${right}`.trimEnd();
  const rule = widths.map((width, column) =>
    markdown && column >= 2 ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [line(head), `${left}${rule.join(between)}${right}`, ...rows.map(line)].join('\n');
}
