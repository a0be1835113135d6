import { isImageError, type MemoryImage } from '../image/index.ts';
import { attachQemu, openImageFile } from '../qemu/index.ts';
import { describeLoss } from './absence.ts';
import type { Console } from './action.ts';
import { CliError } from './cli-error.ts';
import { ExitStatus } from './exit-status.ts';

/** How a TARGET is to be opened. */
export interface TargetOptions {
  /** `--format`: the format of the file, where it is not to be detected. */
  readonly format?: string;
}

type FileFormat = 'elf-core' | 'raw';
const FILE_FORMATS: readonly FileFormat[] = ['elf-core', 'raw'];

/**
 * Opens a TARGET for the time of one verb. Where the verb could not do all that was asked and the target has lost some
 * of its memory, that is said as well.
 */
export async function withTarget(
  console: Console,
  target: string,
  options: TargetOptions,
  use: (image: MemoryImage) => Promise<ExitStatus>,
): Promise<ExitStatus> {
  const image = await openTarget(target, options);
  try {
    const status = await use(image);
    const loss = status === ExitStatus.ok ? undefined : describeLoss(image.ranges);
    if (loss !== undefined) console.notice(loss);
    return status;
  } finally {
    image.close();
  }
}

/**
 * Opens a TARGET: `FILE`, `raw:FILE`, or `qemu:PATH` of a QMP socket. The caller closes it.
 *
 * @throws {CliError} `usage` for a format nobody knows; otherwise what opening threw.
 */
export async function openTarget(target: string, options: TargetOptions): Promise<MemoryImage> {
  const format = fileFormat(options.format);
  if (target.startsWith('qemu:')) {
    if (format !== undefined) throw new CliError('usage', 'Cannot use --format with a live machine');
    return attachQemu(rest(target, 'qemu:'));
  }
  if (!target.startsWith('raw:')) {
    if (target === '') throw new CliError('usage', 'Cannot open an empty TARGET: want a file or qemu:PATH');
    return openFile(target, format);
  }
  if (format !== undefined && format !== 'raw') {
    throw new CliError('usage', `Cannot open ${target} as ${format}: raw: says otherwise`);
  }
  return openImageFile(rest(target, 'raw:'), { format: 'raw' });
}

function openFile(path: string, format: FileFormat | undefined): MemoryImage {
  try {
    return openImageFile(path, format === undefined ? {} : { format });
  } catch (error) {
    if (!isImageError(error) || error.code !== 'unknown-format') throw error;
    throw new CliError('input', `${error.message}: raw:${path}`, { cause: error });
  }
}

function rest(target: string, prefix: string): string {
  const path = target.slice(prefix.length);
  if (path === '') throw new CliError('usage', `Cannot open ${target}: want a path after the colon`);
  return path;
}

function fileFormat(name: string | undefined): FileFormat | undefined {
  const format = FILE_FORMATS.find((known) => known === name);
  if (name !== undefined && format === undefined) {
    throw new CliError('usage', `Cannot open as ${name}: want one of ${FILE_FORMATS.join(', ')}`);
  }
  return format;
}
