import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli-error.ts';
import { FileStorage } from '../file-storage.ts';
import { formatSize } from '../format/units.ts';
import { isSystemError, systemReason } from '../system-error.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SIGNAL_STATUS: Readonly<Record<(typeof SIGNALS)[number], number>> = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
};

/**
 * A file that is the demo's disk and leaves nothing behind: its name goes as soon as both sides have it open, and a
 * signal before that removes it too.
 */
export class TemporaryDisk {
  readonly path: string;
  readonly storage: FileStorage;
  readonly #release: () => void;
  readonly #dir: string;

  private constructor(dir: string, size: number, release: () => void) {
    this.#dir = dir;
    this.#release = release;
    this.path = join(dir, 'disk.img');
    const fd = openSync(this.path, 'wx', 0o600);
    ftruncateSync(fd, size);
    closeSync(fd);
    this.storage = FileStorage.open(this.path);
  }

  /**
   * Makes a disk of `size` bytes in `parent`.
   *
   * @throws {CliError} `input` when there is no room for it, or no writing there.
   */
  static create(parent: string, size: number): TemporaryDisk {
    let dir: string | undefined;
    const remove = (): void => {
      if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
    };
    // Before there is anything to leave behind: a signal between the two would end the process by itself.
    const release = onSignals(remove);
    try {
      const { bavail, bsize } = statfsSync(parent);
      if (bavail * bsize < size) {
        const room = `${formatSize(size)} in ${parent}: it has ${formatSize(bavail * bsize)} left`;
        throw new CliError('input', `Cannot make the demo's disk of ${room} (TMPDIR names another place)`);
      }
      dir = mkdtempSync(join(parent, 'guestmem-demo-'));
      return new TemporaryDisk(dir, size, release);
    } catch (error) {
      release();
      remove();
      if (!isSystemError(error)) throw error;
      const where = `in ${parent}: ${systemReason(error)} (TMPDIR names another place)`;
      throw new CliError('input', `Cannot make the demo's disk ${where}`, { cause: error });
    }
  }

  /** Removes the file's name; whoever has it open keeps its bytes. */
  unlink(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Closes and removes; safe to call twice. */
  close(): void {
    this.#release();
    this.storage.close();
    this.unlink();
  }
}

/** On a signal does `last` and ends the process, until the function that it returns is called. */
function onSignals(last: () => void): () => void {
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      last();
      process.exit(SIGNAL_STATUS[signal]);
    };
    process.once(signal, listener);
    return [signal, listener] as const;
  });
  return () => {
    for (const [signal, listener] of listeners) process.removeListener(signal, listener);
  };
}
