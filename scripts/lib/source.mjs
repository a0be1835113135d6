import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from '@babel/parser';

/**
 * A node of the syntax tree, as far as the checks look at it.
 *
 * @typedef {{ type: string, loc?: { start: { line: number } } | null, [field: string]: unknown }} SyntaxNode
 *
 * @typedef {object} SourceFile
 * @property {string} file relative to the project
 * @property {string} text
 * @property {readonly SyntaxNode[]} body its statements
 *
 * @typedef {{ specifier: string | undefined, at: { start: number, end: number }, line: number, typeOnly: boolean }} Import
 *   the specifier is undefined where it is computed; `at` is where it stands in the text, quotes included
 */

/**
 * @param {string} root
 * @param {string} file relative to root
 * @returns {SourceFile}
 */
export function parseSource(root, file) {
  const text = readFileSync(path.join(root, file), 'utf8');
  const tree = parse(text, {
    sourceType: 'module',
    sourceFilename: file,
    plugins: ['typescript', 'explicitResourceManagement'],
  });
  return { file, text, body: /** @type {SyntaxNode[]} */ (/** @type {unknown} */ (tree.program.body)) };
}

/**
 * Every way in which a file reaches another module.
 *
 * @param {SourceFile} source
 * @returns {Import[]}
 */
export function importsOf({ body }) {
  /** @type {Import[]} */
  const imports = [];
  visit(body, (node) => {
    const from =
      node.type === 'ImportDeclaration' ||
      node.type === 'ExportNamedDeclaration' ||
      node.type === 'ExportAllDeclaration'
        ? node['source']
        : node.type === 'TSImportType'
          ? node['argument']
          : node.type === 'ImportExpression'
            ? node['source']
            : node.type === 'CallExpression' && isNode(node['callee']) && node['callee'].type === 'Import'
              ? /** @type {unknown[]} */ (node['arguments'])[0]
              : undefined;
    if (!isNode(from)) return;
    imports.push({
      specifier: from.type === 'StringLiteral' ? String(from['value']) : undefined,
      at: { start: Number(from['start']), end: Number(from['end']) },
      line: lineOf(node),
      typeOnly:
        node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type',
    });
  });
  return imports;
}

/**
 * @param {unknown} value a node, a list of nodes, or anything else in a tree
 * @param {(node: SyntaxNode) => void} each
 */
function visit(value, each) {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, each);
  } else if (isNode(value)) {
    each(value);
    for (const [field, inner] of Object.entries(value)) {
      if (!field.endsWith('omments') && field !== 'loc') visit(inner, each);
    }
  }
}

/**
 * @param {unknown} value
 * @returns {value is SyntaxNode}
 */
export function isNode(value) {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** @param {SyntaxNode} node */
export function lineOf(node) {
  return node.loc?.start.line ?? 0;
}
