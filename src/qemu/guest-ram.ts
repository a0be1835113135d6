import { hex, isGpa } from '../core/index.ts';
import type { ByteSource, ImageRange } from '../image/index.ts';
import { FileByteSource } from './file-byte-source.ts';
import type { FlatRange } from './flat-view.ts';
import type { Place, ProcessMemory } from './process-memory.ts';
import type { QmpClient } from './qmp-client.ts';
import { isQmpError } from './qmp-error.ts';
import { reasonOf } from './socket-owners.ts';

/** One way into a live machine's memory (SPEC I4), in the order in which they are tried. */
export interface Rung {
  readonly name: 'shared-file' | 'process-memory';
  /** Whether any memory is read this way. */
  readonly taken: boolean;
  /** What is read this way, or why nothing is; for people. */
  readonly why: string;
}

/** A machine's memory map with a way to the bytes of each range, where there is one. */
export interface GuestRam {
  readonly ranges: readonly ImageRange[];
  readonly sources: ReadonlyMap<ImageRange, ByteSource>;
  readonly rungs: readonly Rung[];
}

/** A range's bytes, or why the rung has none. */
type Attempt = Place | string;

const SHARE =
  'start QEMU with -object memory-backend-memfd,id=ram0,size=SIZE,share=on -machine memory-backend=ram0';

/**
 * Finds a way to every range of RAM and ROM of a flat view.
 *
 * QEMU is asked where a range lies in its own address space (`gpa2hva`), and the kernel which file is mapped there:
 * that is the truth whatever the backend is called and however many there are. Without the right to look at the
 * process, a backend that is a named file can still be opened by its name.
 *
 * @param process - QEMU's process, or why there is none
 * @param named - files opened by name; grows, and is the caller's to close
 */
export async function reachRam(
  view: readonly FlatRange[],
  qmp: QmpClient,
  process: ProcessMemory | string,
  named: Map<string, FileByteSource>,
): Promise<GuestRam> {
  const ranges: ImageRange[] = [];
  const sources = new Map<ImageRange, ByteSource>();
  const report = new Report();
  for (const flat of view) {
    const { start, end, name: block } = flat;
    const kind = kindOf(flat.type);
    if (kind === 'device') {
      ranges.push({ start, end, kind, block });
      continue;
    }
    const attempts = await (typeof process === 'string'
      ? byName(flat, qmp, process, named)
      : byProcess(flat, qmp, process));
    const place = report.choose(block, attempts);
    if (place === undefined) {
      ranges.push({ start, end, kind: 'unreachable', block, note: noteOf(attempts) });
    } else {
      const range: ImageRange = { start, end, kind, block, offset: place.offset };
      ranges.push(range);
      sources.set(range, place.source);
    }
  }
  return { ranges, sources, rungs: report.rungs() };
}

/** The rungs tried for one range, in order. */
interface Attempts {
  readonly 'shared-file': Attempt;
  readonly 'process-memory': Attempt;
}

async function byProcess(flat: FlatRange, qmp: QmpClient, process: ProcessMemory): Promise<Attempts> {
  const length = flat.end - flat.start;
  const address = await hostAddress(flat, qmp);
  if (typeof address === 'string') return both(address);
  const mapping = process.mappingOf(address, length);
  if (mapping === undefined) return both(`process ${process.pid} has no mapping of it at ${hex(address)}`);
  const shared = process.shared(mapping, address, length);
  if (typeof shared !== 'string') return { 'shared-file': shared, 'process-memory': 'not needed' };
  return {
    'shared-file': kindOf(flat.type) === 'ram' ? `${shared}; ${SHARE}` : shared,
    'process-memory': process.own(address),
  };
}

async function byName(
  flat: FlatRange,
  qmp: QmpClient,
  whyNoProcess: string,
  named: Map<string, FileByteSource>,
): Promise<Attempts> {
  const file = await namedFile(flat, qmp, named);
  return {
    'shared-file': typeof file === 'string' ? `${whyNoProcess}, nor ${file}` : file,
    'process-memory': whyNoProcess,
  };
}

function both(why: string): Attempts {
  return { 'shared-file': why, 'process-memory': why };
}

/** Where QEMU has the range, in its own address space. */
async function hostAddress(flat: FlatRange, qmp: QmpClient): Promise<number | string> {
  const answer = await qmp.monitor(`gpa2hva ${hex(flat.start)}`);
  const [, name, digits] =
    /^Host virtual address for 0x[0-9a-f]+ \((.*)\) is 0x([0-9a-f]{1,13})\r?$/m.exec(answer) ?? [];
  if (digits === undefined) return `QEMU says: ${answer.trim() || 'nothing'}`;
  // The guest may have changed its map between the listing and the question.
  if (name !== flat.name) return `the map has changed meanwhile (${name} is there now): refresh`;
  return Number.parseInt(digits, 16);
}

/**
 * The file of a `memory-backend-file,share=on`, by the path that QEMU was given; else what it is not, to stand after
 * "nor".
 */
async function namedFile(
  flat: FlatRange,
  qmp: QmpClient,
  named: Map<string, FileByteSource>,
): Promise<Attempt> {
  // Older machine types name the block by the whole path of its backend.
  const object = flat.name.startsWith('/objects/') ? flat.name : `/objects/${flat.name}`;
  const path = await property(qmp, object, 'mem-path');
  if (typeof path !== 'string') return 'is it a memory-backend-file';
  if ((await property(qmp, object, 'share')) !== true) return `is ${path} mapped with share=on`;
  const base = (await property(qmp, object, 'offset')) ?? 0;
  const offset = typeof base === 'number' ? base + flat.offset : Number.NaN;
  if (!isGpa(offset)) return `is its offset in ${path} a usable number`;
  try {
    const source = named.get(path) ?? FileByteSource.open(path);
    named.set(path, source);
    if (flat.end - flat.start <= source.size - offset) return { source, offset };
    return `are its bytes in ${path}, which is too short`;
  } catch (error) {
    return `can it be read by its name: ${error instanceof Error ? error.message : reasonOf(error)}`;
  }
}

/** A property of a QEMU object, or `undefined` where it has none of that name. */
async function property(qmp: QmpClient, path: string, name: string): Promise<unknown> {
  try {
    return await qmp.execute('qom-get', { path, property: name });
  } catch (error) {
    if (isQmpError(error) && error.code === 'command') return undefined;
    throw error;
  }
}

/** The registers of a passed-through device (`ramd`) have effects when read: they are no memory to look at. */
function kindOf(type: string): 'ram' | 'rom' | 'device' {
  if (type === 'ram') return 'ram';
  return type === 'rom' || type === 'romd' ? 'rom' : 'device';
}

/** Keeps account of which rung served which block, and why the other did not. */
class Report {
  readonly #served: Blocks = { 'shared-file': new Map(), 'process-memory': new Map() };
  readonly #refused: Blocks = { 'shared-file': new Map(), 'process-memory': new Map() };

  /** The first rung that has the range. */
  choose(block: string, attempts: Attempts): Place | undefined {
    for (const name of RUNGS) {
      const attempt = attempts[name];
      if (typeof attempt !== 'string') {
        note(this.#served[name], attempt.source.name, block);
        return attempt;
      }
      note(this.#refused[name], attempt, block);
    }
    return undefined;
  }

  rungs(): Rung[] {
    return RUNGS.map((name) => {
      const served = [...this.#served[name]].map(([file, blocks]) => `${list(blocks)} from ${file}`);
      const refused = [...this.#refused[name]].map(([why, blocks]) => `not ${list(blocks)}: ${why}`);
      return { name, taken: served.length > 0, why: [...served, ...refused].join('; ') || 'not needed' };
    });
  }
}

/** By rung: the blocks that share a file, or a reason. */
type Blocks = Record<Rung['name'], Map<string, Set<string>>>;

const RUNGS = ['shared-file', 'process-memory'] as const;

function note(groups: Map<string, Set<string>>, key: string, block: string): void {
  groups.set(key, (groups.get(key) ?? new Set()).add(block));
}

function list(blocks: ReadonlySet<string>): string {
  return [...blocks].join(', ');
}

/** Why no rung has the range. A reason that another one contains is not told twice. */
function noteOf(attempts: Attempts): string {
  const reasons = RUNGS.map((name) => attempts[name]).filter((attempt) => typeof attempt === 'string');
  return reasons
    .filter((reason, i) => !reasons.some((other, j) => j < i && other.includes(reason)))
    .join('; ');
}
