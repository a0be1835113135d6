import { tmpdir } from 'node:os';
import type { Command } from 'commander';
import { type Console, setAction } from '../action.ts';
import { CliError } from '../cli-error.ts';
import { BLOCK_SIZE } from '../demo/plan.ts';
import { allOk } from '../demo/report.ts';
import { runDemo } from '../demo/run-demo.ts';
import { ExitStatus } from '../exit-status.ts';
import { demoJson, demoReport } from '../format/demo-report.ts';
import { jsonText } from '../format/json.ts';
import { progressLine } from '../format/progress-line.ts';
import { formatSize } from '../format/units.ts';
import { parseLength } from '../parse.ts';

const DEFAULT_SIZE = '256M';
const SMALLEST = BigInt(32 * BLOCK_SIZE);
const LARGEST = 1n << 40n;

const EXAMPLE = `
Needs nothing but this package. Exit status 0 only if every check held.

Example:
  $ guestmem demo --size 1G`;

interface DemoVerbOptions {
  readonly json?: boolean;
  readonly size: string;
}

/** `guestmem demo`: the built-in machine at work. */
export function registerDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('run the built-in guest: memory, page tables, a virtio disk, hot-plug; all checked')
    .option('--size <length>', 'how much to move each way, a multiple of 128K', DEFAULT_SIZE)
    .option('--json', 'print the report as JSON; addresses and sizes are 0x hex strings')
    .addHelpText('after', EXAMPLE);
  setAction(command, demo);
}

async function demo(
  console: Console,
  _args: readonly string[],
  options: DemoVerbOptions,
): Promise<ExitStatus> {
  const report = await runDemo({
    bytes: sizeOf(options.size),
    directory: tmpdir(),
    onProgress: (part, phase) => console.progress(progressLine(part, phase)),
  }).finally(() => console.progress(''));
  const lines = options.json === true ? [jsonText(demoJson(report))] : demoReport(report, console.colors);
  await console.out.lines(lines);
  if (allOk(report)) return ExitStatus.ok;
  console.notice('The demo did not check out');
  return ExitStatus.notFound;
}

function sizeOf(text: string): number {
  const size = parseLength(text);
  if (size < SMALLEST || size > LARGEST || size % BigInt(BLOCK_SIZE) !== 0n) {
    const want = `${formatSize(SMALLEST)} to ${formatSize(LARGEST)}, a multiple of ${formatSize(BLOCK_SIZE)}`;
    throw new CliError('usage', `Cannot move ${text}: want ${want}`);
  }
  return Number(size);
}
