/**
 * @typedef {object} Block a fenced block of code
 * @property {string} info what stands after the backticks: `ts`, `ts no-run`, `sh` ...
 * @property {string} code
 * @property {number} line of its first line of code, in the file
 */

/**
 * The text of a documentation comment, line by line as in the file, without its stars.
 *
 * @param {string} comment from the slash to the slash
 * @returns {string[]}
 */
export function commentLines(comment) {
  return comment
    .replace(/^\/\*\*/, '')
    .replace(/\*\/$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''));
}

/**
 * Every documentation comment of a source file.
 *
 * @param {string} text
 * @returns {{ lines: string[], line: number }[]} `line` is where it starts
 */
export function docComments(text) {
  return [...text.matchAll(/^[ \t]*(\/\*\*[\s\S]*?\*\/)/gm)].map((match) => ({
    lines: commentLines(match[1] ?? ''),
    line: text.slice(0, match.index).split('\n').length,
  }));
}

/**
 * The fenced blocks of a text.
 *
 * @param {readonly string[]} lines
 * @param {number} [firstLine] where the text starts in its file
 * @returns {Block[]}
 */
export function fencedBlocks(lines, firstLine = 1) {
  /** @type {Block[]} */
  const blocks = [];
  /** @type {{ fence: string, indent: string, info: string, code: string[], line: number } | undefined} */
  let open;
  for (const [at, line] of lines.entries()) {
    const mark = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/.exec(line);
    if (open === undefined) {
      if (mark === null) continue;
      open = {
        fence: mark[2] ?? '',
        indent: mark[1] ?? '',
        info: mark[3] ?? '',
        code: [],
        line: firstLine + at + 1,
      };
    } else if (mark !== null && mark[3] === '' && (mark[2] ?? '').startsWith(open.fence)) {
      blocks.push({ info: open.info, code: open.code.join('\n'), line: open.line });
      open = undefined;
    } else {
      open.code.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
    }
  }
  if (open !== undefined)
    blocks.push({ info: `${open.info} (never closed)`, code: open.code.join('\n'), line: open.line });
  return blocks;
}
