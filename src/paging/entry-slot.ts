import type { Level } from './level.ts';

/** An entry of a table, and what it says. */
export interface EntrySlot<TableAddr> {
  readonly level: Level;
  readonly address: TableAddr;
  /** Whether its table was there before; else nothing points to it yet. */
  readonly exists: boolean;
  /** Whether its table is one that other entries lead to as well. */
  readonly shared: boolean;
  /** Page number of the first address that it covers. */
  readonly base: number;
  readonly lo: number;
  readonly hi: number;
  readonly verdict: number;
}
