import { hex } from '../core/index.ts';
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
      ranges.push({ start, end, kind: 'unreachable', block, note: report.noteOf(attempts) });
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
    'shared-file': typeof file === 'string' ? `${whyNoProcess}; and it has no file by name: ${file}` : file,
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

/** The file of a `memory-backend-file,share=on`, by the path that QEMU was given. */
async function namedFile(
  flat: FlatRange,
  qmp: QmpClient,
  named: Map<string, FileByteSource>,
): Promise<Attempt> {
  // Older machine types name the block by the whole path of its backend.
  const object = flat.name.startsWith('/objects/') ? flat.name : `/objects/${flat.name}`;
  const path = await property(qmp, object, 'mem-path');
  if (typeof path !== 'string') return `${object} is no memory-backend-file`;
  if ((await property(qmp, object, 'share')) !== true) return `${object} is not share=on`;
  const base = await property(qmp, object, 'offset');
  const offset = (typeof base === 'number' ? base : 0) + flat.offset;
  try {
    const source = named.get(path) ?? FileByteSource.open(path);
    named.set(path, source);
    if (flat.end - flat.start <= source.size - offset) return { source, offset };
    return `${path} has ${source.size} bytes, wanted ${flat.end - flat.start} at ${offset}`;
  } catch (error) {
    return reasonOf(error);
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
  readonly #served: Record<Rung['name'], Map<string, string>> = {
    'shared-file': new Map(),
    'process-memory': new Map(),
  };
  readonly #refused: Record<Rung['name'], Map<string, string>> = {
    'shared-file': new Map(),
    'process-memory': new Map(),
  };

  /** The first rung that has the range. */
  choose(block: string, attempts: Attempts): Place | undefined {
    for (const name of RUNGS) {
      const attempt = attempts[name];
      if (typeof attempt !== 'string') {
        this.#served[name].set(block, attempt.source.name);
        return attempt;
      }
      this.#refused[name].set(block, attempt);
    }
    return undefined;
  }

  noteOf(attempts: Attempts): string {
    return [...new Set(RUNGS.map((name) => attempts[name]))].join('; ');
  }

  rungs(): Rung[] {
    return RUNGS.map((name) => {
      const served = [...this.#served[name]].map(([block, file]) => `${block} from ${file}`);
      const refused = [...this.#refused[name]].map(([block, why]) => `not ${block}: ${why}`);
      return { name, taken: served.length > 0, why: [...served, ...refused].join('; ') || 'not needed' };
    });
  }
}

const RUNGS = ['shared-file', 'process-memory'] as const;
