import { resolveControls } from './architecture.ts';
import { CompiledFormat } from './compiled-format.ts';
import type { PagingFormat } from './format.ts';

/** What was compiled before, by its controls: it takes 100 µs, and edits come page by page (115 µs for one become 12). */
const before = new WeakMap<PagingFormat, Map<string, CompiledFormat>>();

/** Controls that a format is remembered for; a guest may change some of them as often as it likes. */
const MOST = 64;

/**
 * A format compiled for given controls, once.
 *
 * @throws PagingError `invalid` where a control is out of range
 */
export function compileFormat(format: PagingFormat, controls: object | undefined): CompiledFormat {
  const key = Object.values(resolveControls(format.architecture, controls)).join();
  const known = before.get(format) ?? new Map<string, CompiledFormat>();
  before.set(format, known);
  const found = known.get(key);
  if (found !== undefined) return found;
  const compiled = new CompiledFormat(format, controls);
  if (known.size >= MOST) known.clear();
  known.set(key, compiled);
  return compiled;
}

/**
 * The same for who changes tables, and looks at them as they stand: a page that is not marked as accessed is a page, though
 * whoever uses it may get a fault.
 *
 * @throws PagingError `invalid` where a control is out of range
 */
export function compileForEdit(format: PagingFormat, controls: object | undefined): CompiledFormat {
  const compiled = compileFormat(format, controls);
  if (compiled.controls['accessedDirty'] !== 'fault') return compiled;
  return compileFormat(format, { ...compiled.controls, accessedDirty: 'off' });
}
