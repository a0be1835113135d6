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
  readonly #dir: string;
  readonly #listeners: readonly (readonly [(typeof SIGNALS)[number], () => void])[];

  private constructor(dir: string, size: number) {
    this.#dir = dir;
    this.path = join(dir, 'disk.img');
    this.#listeners = SIGNALS.map((signal) => [
      signal,
      () => {
        this.unlink();
        process.exit(SIGNAL_STATUS[signal]);
      },
    ]);
    for (const [signal, listener] of this.#listeners) process.once(signal, listener);
    try {
      const fd = openSync(this.path, 'wx', 0o600);
      ftruncateSync(fd, size);
      closeSync(fd);
      this.storage = FileStorage.open(this.path);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Makes a disk of `size` bytes in `parent`.
   *
   * @throws {CliError} `input` when there is no room for it, or no writing there.
   */
  static create(parent: string, size: number): TemporaryDisk {
    try {
      const { bavail, bsize } = statfsSync(parent);
      if (bavail * bsize < size) {
        const room = `${formatSize(size)} in ${parent}: it has ${formatSize(bavail * bsize)} left`;
        throw new CliError('input', `Cannot make the demo's disk of ${room} (TMPDIR names another place)`);
      }
      return new TemporaryDisk(mkdtempSync(join(parent, 'guestmem-demo-')), size);
    } catch (error) {
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
    for (const [signal, listener] of this.#listeners) process.removeListener(signal, listener);
    this.storage?.close();
    this.unlink();
  }
}
