import type { PagingFormat, Translation } from '../../paging/index.ts';
import type { Transfer } from './messages.ts';

/** One thing the demo set out to show, and whether it held. */
export interface Check {
  readonly what: string;
  readonly ok: boolean;
  /** The figures behind it. */
  readonly detail: string;
}

/** Everything the demo found out, before it is put into words. */
export interface DemoReport {
  readonly memory: readonly { readonly start: number; readonly end: number; readonly label: string }[];
  readonly tables: { readonly leaves: number; readonly tables: number; readonly root: number };
  readonly disk: { readonly bytes: number; readonly serial: string };
  readonly written: Transfer;
  readonly read: Transfer;
  readonly flushSeconds: number;
  readonly requests: number;
  readonly kicks: number;
  readonly interrupts: number;
  readonly plug: {
    readonly start: number;
    readonly end: number;
    readonly inFlight: number;
    readonly bytesThrough: number;
  };
  readonly walk: Translation;
  readonly format: PagingFormat;
  readonly checks: readonly Check[];
  readonly seconds: number;
}

/** Whether everything held. */
export function allOk(report: DemoReport): boolean {
  return report.checks.every(({ ok }) => ok);
}
