import type { Colors } from '../action.ts';
import type { Transfer } from '../demo/messages.ts';
import { allOk, type DemoReport } from '../demo/report.ts';
import type { JsonValue } from './json.ts';
import { memoryBar } from './memory-bar.ts';
import { formatCount, formatSize, hex, plural } from './units.ts';
import { walkJson } from './walk-json.ts';
import { walkReport } from './walk-report.ts';

const MIB = 1024 * 1024;

/** The demo's findings for a person: what the machine was, what it did, and a tick for all that held. */
export function demoReport(report: DemoReport, colors: Colors): string[] {
  const { tables, disk, plug, written, read } = report;
  const title = (name: string, rest: string): string => `${colors.bold(name)}  ${colors.dim(rest)}`;
  const ram = report.memory.reduce((sum, { start, end }) => sum + end - start, 0);
  const [bar = '', ...captions] = memoryBar(
    report.memory.map(({ start, end, label }) => ({
      start,
      end,
      label,
      fill: label === 'plugged' ? '▓' : '█',
    })),
  );
  const built = `${formatCount(tables.leaves)} pages mapped in ${formatCount(tables.tables)} tables at boot`;
  const perInterrupt = (report.requests / Math.max(1, report.interrupts)).toFixed(1);
  return [
    title('Memory', `${formatSize(ram)}, shared by two threads; ${built}`),
    ...[colors.cyan(bar), ...captions.map((line) => colors.dim(line))].map((line) => `  ${line}`),
    '',
    title('Disk', `virtio-blk "${disk.serial}" over a file of ${formatSize(disk.bytes)}`),
    `  written  ${transferLine(written)}   flushed in ${report.flushSeconds.toFixed(2)} s`,
    `  read     ${transferLine(read)}`,
    `  ${formatCount(report.requests)} requests, ${formatCount(report.kicks)} kicks, ` +
      `${formatCount(report.interrupts)} interrupts: ${perInterrupt} requests each`,
    '',
    title('Plugged', `with ${plural(plug.inFlight, 'request')} in flight`),
    `  ${formatSize(plug.end - plug.start)} at ${hex(plug.start)}; ${formatSize(plug.bytesThrough)} went through it`,
    '',
    title('Walk', `of ${hex(report.walk.gva)}, ${report.format.title}, from root ${hex(tables.root)}`),
    ...walkReport(report.walk, report.format, colors).map((line) => `  ${line}`),
    '',
    ...report.checks.map(({ what, ok, detail }) => {
      return `${ok ? colors.green('✓') : colors.red('✗')} ${what}  ${colors.dim(detail)}`;
    }),
    allOk(report)
      ? colors.green(`Everything checked out in ${report.seconds.toFixed(1)} s`)
      : colors.red('Something did not check out'),
  ];
}

function transferLine({ bytes, seconds }: Transfer): string {
  const rate = `${formatCount(Math.round(bytes / MIB / seconds))} MiB/s`;
  return `${formatSize(bytes)} in ${seconds.toFixed(2)} s, ${rate.padStart(11)}`;
}

/** The same findings as data. */
export function demoJson(report: DemoReport): JsonValue {
  const { written, read, plug, disk, tables } = report;
  const transfer = ({ bytes, seconds, pluggedBytes }: Transfer): JsonValue => ({
    bytes: hex(bytes),
    seconds,
    pluggedBytes: hex(pluggedBytes),
  });
  return {
    ok: allOk(report),
    seconds: report.seconds,
    memory: report.memory.map(({ start, end, label }) => ({ start: hex(start), end: hex(end), kind: label })),
    tables: { root: hex(tables.root), leaves: tables.leaves, tables: tables.tables },
    disk: { size: hex(disk.bytes), serial: disk.serial },
    written: transfer(written),
    read: transfer(read),
    flushSeconds: report.flushSeconds,
    requests: report.requests,
    kicks: report.kicks,
    interrupts: report.interrupts,
    plugged: {
      start: hex(plug.start),
      end: hex(plug.end),
      inFlight: plug.inFlight,
      bytesThrough: hex(plug.bytesThrough),
    },
    walk: walkJson(report.walk),
    checks: report.checks.map(({ what, ok, detail }) => ({ what, ok, detail })),
  };
}
