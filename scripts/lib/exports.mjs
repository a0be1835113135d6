import path from 'node:path';
import { isNode, lineOf, parseSource } from './source.mjs';

/**
 * @typedef {import('./source.mjs').SyntaxNode} SyntaxNode
 * @typedef {import('./source.mjs').SourceFile} SourceFile
 *
 * @typedef {object} Declaration of one exported name; several nodes where a function has overloads, or a type and a
 *   value share a name
 * @property {string} name
 * @property {string} file
 * @property {{ node: SyntaxNode, doc: string | undefined, line: number }[]} parts
 */

/** Follows exported names to where they are declared. */
export class ExportFinder {
  /** @type {string} */
  #root;
  /** @type {Map<string, SourceFile>} */
  #sources = new Map();

  /** @param {string} root */
  constructor(root) {
    this.#root = root;
  }

  /**
   * @param {string} file
   * @returns {SourceFile}
   */
  #source(file) {
    const known = this.#sources.get(file) ?? parseSource(this.#root, file);
    this.#sources.set(file, known);
    return known;
  }

  /**
   * Names that a module exports. `export *` is refused: a face says what it shows.
   *
   * @param {string} file
   * @returns {string[]}
   */
  namesOf(file) {
    return this.#source(file).body.flatMap((statement) => {
      if (statement.type === 'ExportAllDeclaration')
        throw new Error(`${file}: export * hides what a face shows`);
      if (statement.type !== 'ExportNamedDeclaration') return [];
      const declared = isNode(statement['declaration']) ? declaredNames(statement['declaration']) : [];
      return [...declared, ...specifiersOf(statement).map(({ exported }) => exported)];
    });
  }

  /**
   * @param {string} file
   * @param {string} name as the module exports it, or knows it
   * @returns {Declaration | undefined}
   */
  find(file, name) {
    /** @type {Declaration['parts']} */
    const parts = [];
    for (const statement of this.#source(file).body) {
      const inner = statement.type === 'ExportNamedDeclaration' ? statement['declaration'] : statement;
      if (isNode(inner) && declaredNames(inner).includes(name)) {
        parts.push({ node: inner, doc: docOf(statement), line: lineOf(inner) });
      }
    }
    if (parts.length > 0) return { name, file, parts };
    for (const statement of this.#source(file).body) {
      for (const { local, exported } of specifiersOf(statement)) {
        if (exported !== name) continue;
        const from = statement['source'];
        if (!isNode(from)) return local === name ? this.#imported(file, name) : this.find(file, local);
        return this.find(resolve(file, String(from['value'])), local);
      }
    }
    return this.#imported(file, name);
  }

  /**
   * @param {string} file
   * @param {string} name that the module imports
   * @returns {Declaration | undefined}
   */
  #imported(file, name) {
    for (const statement of this.#source(file).body) {
      if (statement.type !== 'ImportDeclaration' || !isNode(statement['source'])) continue;
      const from = String(statement['source']['value']);
      for (const specifier of nodes(statement['specifiers'])) {
        if (specifier.type !== 'ImportSpecifier' || nameOf(specifier['local']) !== name) continue;
        return from.startsWith('.')
          ? this.find(resolve(file, from), nameOf(specifier['imported']))
          : undefined;
      }
    }
    return undefined;
  }
}

/**
 * The documentation comment that stands right before a node.
 *
 * @param {SyntaxNode} node
 * @returns {string | undefined}
 */
export function docOf(node) {
  const last = nodes(node['leadingComments']).at(-1);
  if (last?.type !== 'CommentBlock' || !String(last['value']).startsWith('*')) return undefined;
  return `/*${String(last['value'])}*/`;
}

/**
 * @param {SyntaxNode} declaration
 * @returns {string[]}
 */
function declaredNames(declaration) {
  switch (declaration.type) {
    case 'VariableDeclaration':
      return nodes(declaration['declarations']).map(({ id }) => nameOf(id));
    case 'FunctionDeclaration':
    case 'TSDeclareFunction':
    case 'ClassDeclaration':
    case 'TSInterfaceDeclaration':
    case 'TSTypeAliasDeclaration':
      return [nameOf(declaration['id'])];
    default:
      return [];
  }
}

/**
 * @param {SyntaxNode} statement
 * @returns {{ local: string, exported: string }[]}
 */
function specifiersOf(statement) {
  if (statement.type !== 'ExportNamedDeclaration') return [];
  return nodes(statement['specifiers']).map(({ local, exported }) => ({
    local: nameOf(local),
    exported: nameOf(exported),
  }));
}

/**
 * @param {unknown} list
 * @returns {SyntaxNode[]}
 */
export function nodes(list) {
  return Array.isArray(list) ? list.filter(isNode) : [];
}

/**
 * @param {unknown} identifier
 * @returns {string}
 */
export function nameOf(identifier) {
  return isNode(identifier) ? String(identifier['name'] ?? identifier['value'] ?? '') : '';
}

/**
 * @param {string} file
 * @param {string} specifier
 */
function resolve(file, specifier) {
  return path.posix.join(path.posix.dirname(file), specifier);
}
