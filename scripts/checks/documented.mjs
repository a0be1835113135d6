import { existsSync } from 'node:fs';
import path from 'node:path';
import { commentLines, fencedBlocks } from '../lib/doc-comment.mjs';
import { docOf, ExportFinder, nameOf, nodes } from '../lib/exports.mjs';
import { readPackage } from '../lib/package.mjs';
import { lineOf } from '../lib/source.mjs';
import { HOUSE } from './house.mjs';

/**
 * @typedef {import('../lib/source.mjs').SyntaxNode} SyntaxNode
 * @typedef {import('../lib/exports.mjs').Declaration} Declaration
 */

/**
 * Everything that a published face exports says what it does, methods of classes and interfaces included. In portable
 * rooms, functions and classes show it in an example as well.
 *
 * @param {string} root
 * @returns {import('../lib/checking.mjs').Finding}
 */
export function checkDocumented(root) {
  const finder = new ExportFinder(root);
  /** @type {Set<string>} */
  const problems = new Set();
  let exported = 0;
  for (const target of Object.values(readPackage(root).exports)) {
    if (typeof target === 'string') continue;
    const face = target.types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts');
    if (!existsSync(path.join(root, face))) {
      problems.add(`${face}: this face is published and not there`);
      continue;
    }
    const portable = HOUSE[face.split('/')[1] ?? '']?.portable === true;
    for (const name of finder.namesOf(face)) {
      exported++;
      const declaration = finder.find(face, name);
      if (declaration === undefined) problems.add(`${face}: cannot find where ${name} is declared`);
      else for (const problem of judge(declaration, portable, finder)) problems.add(problem);
    }
  }
  return { problems: [...problems], summary: `${exported} exports` };
}

/**
 * @param {Declaration} declaration
 * @param {boolean} portable
 * @param {ExportFinder} finder
 * @returns {string[]}
 */
function judge({ name, file, parts }, portable, finder) {
  const where = `${file}:${parts[0]?.line ?? 0}: ${name}`;
  const docs = parts.flatMap(({ doc }) => (doc === undefined ? [] : [doc]));
  /** @type {string[]} */
  const problems = [];
  if (!docs.some(hasSummary)) problems.push(`${where} is not documented`);
  if (portable && parts.some(({ node }) => wantsExample(node)) && !docs.some(hasExample)) {
    problems.push(`${where} has no @example with a \`\`\`ts block`);
  }
  for (const { node } of parts) {
    for (const member of undocumentedMembers(node, file, finder)) {
      problems.push(`${file}:${member.line}: ${name}.${member.name} is not documented`);
    }
  }
  return problems;
}

/** @param {string} doc */
function hasSummary(doc) {
  const text = commentLines(doc).join('\n').trim();
  return text !== '' && !text.startsWith('@');
}

/** @param {string} doc */
function hasExample(doc) {
  const lines = commentLines(doc);
  const at = lines.findIndex((line) => line.startsWith('@example'));
  return at >= 0 && fencedBlocks(lines.slice(at)).some(({ info }) => /^ts\b/.test(info));
}

/** @param {SyntaxNode} node */
function wantsExample(node) {
  if (node.type === 'VariableDeclaration') {
    return nodes(node['declarations']).some(({ init }) => /Function/.test(nodes([init])[0]?.type ?? ''));
  }
  return ['FunctionDeclaration', 'TSDeclareFunction', 'ClassDeclaration'].includes(node.type);
}

/**
 * Methods and accessors that users can call and that say nothing. What overrides or implements a documented member
 * need not repeat it; neither need the constructor, disposal by symbol, and further overloads.
 *
 * @param {SyntaxNode} node
 * @param {string} file
 * @param {ExportFinder} finder
 * @returns {{ name: string, line: number }[]}
 */
function undocumentedMembers(node, file, finder) {
  const inherited = inheritedMembers(node, file, finder);
  const documented = documentedMembers(node);
  return membersOf(node)
    .filter((member) => isCallable(member) && isPublic(member))
    .map((member) => ({ name: nameOf(member['key']), line: lineOf(member) }))
    .filter(
      ({ name }) => name !== '' && name !== 'constructor' && !documented.has(name) && !inherited.has(name),
    );
}

/**
 * What the interfaces and the base class of a declaration document, and theirs.
 *
 * @param {SyntaxNode} node
 * @param {string} file
 * @param {ExportFinder} finder
 * @returns {Set<string>}
 */
function inheritedMembers(node, file, finder) {
  const parents = [...nodes(node['implements']), ...nodes(node['extends'])].map((parent) =>
    nameOf(parent['expression']),
  );
  /** @type {Set<string>} */
  const members = new Set();
  for (const parent of [...parents, nameOf(node['superClass'])]) {
    const found = parent === '' ? undefined : finder.find(file, parent);
    if (found === undefined) continue;
    for (const { node: of } of found.parts) {
      for (const member of [...documentedMembers(of), ...inheritedMembers(of, found.file, finder)])
        members.add(member);
    }
  }
  return members;
}

/**
 * @param {SyntaxNode} node
 * @returns {Set<string>}
 */
function documentedMembers(node) {
  return new Set(
    membersOf(node)
      .filter((member) => hasSummary(docOf(member) ?? ''))
      .map(({ key }) => nameOf(key)),
  );
}

/**
 * @param {SyntaxNode} node
 * @returns {SyntaxNode[]}
 */
function membersOf(node) {
  return node.type === 'ClassDeclaration' || node.type === 'TSInterfaceDeclaration'
    ? nodes(nodes([node['body']])[0]?.['body'])
    : [];
}

/** @param {SyntaxNode} member */
function isCallable(member) {
  if (['ClassMethod', 'TSDeclareMethod', 'TSMethodSignature'].includes(member.type)) return true;
  const annotation = nodes([nodes([member['typeAnnotation']])[0]?.['typeAnnotation']])[0];
  return annotation?.type === 'TSFunctionType';
}

/** @param {SyntaxNode} member */
function isPublic(member) {
  return (
    member['accessibility'] !== 'private' &&
    member['override'] !== true &&
    member['computed'] !== true &&
    nodes([member['key']])[0]?.type !== 'PrivateName'
  );
}
