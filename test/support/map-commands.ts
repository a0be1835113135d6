import assert from 'node:assert/strict';
import type fc from 'fast-check';
import { alias, bytes, GuestMemory, heap, type MemoryBacking, shared, wasm } from '../../src/core/index.ts';
import { arrayCalls, smallPieces } from './memory-kinds.ts';
import type { NaiveMemory } from './naive-memory.ts';
import { refused } from './refused.ts';
import { newWasmMemory } from './wasm-memory.ts';

/** Everything happens in so many bytes from `BASE` on, so that accesses meet regions, seams and holes. */
export const SPAN = 0x180;
export const BASE: number = 0x1_0000_0000 - 0x80;

export type Kind = 'heap' | 'shared' | 'pieces' | 'calls' | 'alias' | 'wasm' | 'odd';
export const BACKINGS: readonly Kind[] = ['heap', 'shared', 'pieces', 'calls', 'alias', 'wasm', 'odd'];

export interface Real {
  memory: GuestMemory;
}

export interface Model {
  naive: NaiveMemory;
}

export function backingOf(kind: Kind, start: number, size: number): MemoryBacking {
  const skew = start % 8;
  switch (kind) {
    case 'heap':
      return skew === 0 ? heap(size) : bytes(new Uint8Array(new ArrayBuffer(size + skew), skew));
    case 'shared':
      return skew === 0 ? shared(size) : bytes(new Uint8Array(new SharedArrayBuffer(size + skew), skew));
    case 'pieces':
      return smallPieces(size, start).backing;
    case 'calls':
      return arrayCalls(new Uint8Array(size), { exchange: true });
    case 'alias':
      return alias(
        GuestMemory.fromRegions([{ start: 0x40 + skew, backing: backingOf('pieces', 0x40 + skew, size) }]),
        0x40 + skew,
        size,
      );
    case 'wasm':
      return wasm(newWasmMemory({ initial: 1, maximum: 1 }), 0x100 + skew, size);
    case 'odd':
      return bytes(new Uint8Array(new ArrayBuffer(0x300), 0x88 + skew, size));
  }
}

export class InsertRegion implements fc.Command<Model, Real> {
  readonly kind: Kind;
  readonly start: number;
  readonly size: number;
  readonly readOnly: boolean;
  constructor([kind, start, size, readOnly]: [Kind, number, number, boolean]) {
    this.kind = kind;
    this.start = start;
    this.size = size;
    this.readOnly = readOnly;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const { kind, start, size, readOnly } = this;
    const insert = (): GuestMemory =>
      real.memory.insertRegion({
        start,
        backing: backingOf(kind, start, size),
        access: readOnly ? 'r' : 'rw',
      });
    if (model.naive.overlaps(start, size)) {
      refused(insert, { code: 'overlap' });
      return;
    }
    const before = real.memory;
    real.memory = insert();
    assert.equal(before.regions.length, model.naive.regions.length);
    model.naive = model.naive.insert({ start, size, readOnly });
  }
  toString(): string {
    return `insert ${this.kind} ${this.start}+${this.size}${this.readOnly ? ' read-only' : ''}`;
  }
}

export class RemoveRegion implements fc.Command<Model, Real> {
  readonly pick: number;
  constructor(pick: number) {
    this.pick = pick;
  }
  check(model: Readonly<Model>): boolean {
    return model.naive.regions.length > 0;
  }
  run(model: Model, real: Real): void {
    const { regions } = model.naive;
    const region = regions[this.pick % regions.length];
    assert(region !== undefined);
    refused(() => real.memory.removeRegion(region.start, region.size + 1), { code: 'unmapped' });
    real.memory = real.memory.removeRegion(region.start, region.size);
    model.naive = model.naive.remove(region.start, region.size);
  }
  toString(): string {
    return `remove ${this.pick}`;
  }
}
