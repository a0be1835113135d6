import type { Command } from 'commander';
import type { MemoryImage } from '../../image/index.ts';
import { type Console, setAction } from '../action.ts';
import { type AddressSpace, chooseAddressSpace } from '../address-space.ts';
import { CliError } from '../cli-error.ts';
import { ExitStatus } from '../exit-status.ts';
import { type DumpPiece, hexDump } from '../format/hex-dump.ts';
import { newTally, type ReadTally, readJson, tallied } from '../format/read-json.ts';
import { parseGpa, parseLength, parseU64 } from '../parse.ts';
import { physicalPieces, virtualPieces } from '../pieces.ts';
import { withTarget } from '../target.ts';
import { addAddressSpace, addTarget, type TranslatingOptions } from '../target-options.ts';

const EXAMPLE = `
What is not there prints as ??, never as 00, and makes the exit status 4 (1 when nothing is there).

Examples:
  $ guestmem read vm.elf 0x1000 64
  $ guestmem read vm.elf 0xffffffff81000000 4K -v
  $ guestmem read raw:ram.bin 0 1M --json`;

const DEFAULT_LENGTH = '256';
const TOP_GPA = BigInt(Number.MAX_SAFE_INTEGER) + 1n;
const TOP_GVA = 1n << 64n;

interface ReadOptions extends TranslatingOptions {
  readonly virtual?: boolean;
  readonly all?: boolean;
}

/** `guestmem read TARGET ADDR [LENGTH]`: a hex dump. */
export function registerRead(program: Command): void {
  const command = addTarget(program.command('read').description('hex dump of physical or virtual memory'))
    .argument('<address>', 'where to start: decimal or 0x hex')
    .argument('[length]', `bytes, also with K, M, G or T (default: ${DEFAULT_LENGTH})`)
    .option('-v, --virtual', 'the address is virtual')
    .option('-a, --all', 'print every row, also those that repeat');
  setAction(addAddressSpace(command).addHelpText('after', EXAMPLE), read);
}

function read(console: Console, args: readonly string[], options: ReadOptions): Promise<ExitStatus> {
  const [target = '', addressText = '', lengthText = DEFAULT_LENGTH] = args;
  const virtual = options.virtual === true;
  const address = virtual ? parseU64(addressText) : BigInt(parseGpa(addressText));
  const length = parseLength(lengthText);
  const top = virtual ? TOP_GVA : TOP_GPA;
  if (length > top - address) {
    throw new CliError(
      'usage',
      `Cannot read ${lengthText} bytes at ${addressText}: that ends past the last address`,
    );
  }
  return withTarget(console, target, options, async (image) => {
    const space = virtual ? chooseAddressSpace(image, options) : undefined;
    const pieces = piecesOf(image, space, address, address + length);
    const tally = newTally();
    if (options.json === true) {
      for (const text of readJson(address, length, pieces, tally)) await console.out.write(text);
    } else {
      if (space !== undefined) await console.out.lines([console.colors.dim(`paging ${space.origin}`)]);
      await console.out.lines(hexDump(tallied(pieces, tally), { all: options.all === true }));
    }
    return statusOf(tally);
  });
}

function piecesOf(
  image: MemoryImage,
  space: AddressSpace | undefined,
  start: bigint,
  end: bigint,
): Iterable<DumpPiece> {
  if (space !== undefined && space.translators.length > 0) return virtualPieces(image, space, start, end);
  if (end > TOP_GPA) {
    throw new CliError('usage', 'Cannot read there: paging is off, so addresses above 2^53 do not exist');
  }
  return physicalPieces(image, Number(start), Number(end));
}

function statusOf(tally: ReadTally): ExitStatus {
  if (tally.holes.length === 0) return ExitStatus.ok;
  return tally.present === 0n ? ExitStatus.notFound : ExitStatus.partial;
}
