/**
 * A program started by a test: its output kept as text, waited for by pattern, and never left behind.
 *
 * The program is started through `setpriv --pdeathsig KILL`, so the kernel ends it even when the test process itself
 * is killed; a virtual machine that outlives a cancelled test would eat one of the machine's cores for ever.
 */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** How a child ended. */
export interface Ended {
  /** Exit status, or `null` when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What one of the child's two output streams said, and who waits for more of it. */
class Output {
  text: string;
  private seen: number;
  private waiting: (() => void) | undefined;

  constructor(stream: NodeJS.ReadableStream) {
    this.text = '';
    this.seen = 0;
    this.waiting = undefined;
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      this.text += chunk;
      this.waiting?.();
    });
  }

  /** The first match after the last one taken; a line that is still being written does not count. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    const whole = this.text.lastIndexOf('\n') + 1;
    const match = pattern.exec(this.text.slice(this.seen, whole));
    if (match === null) return undefined;
    this.seen += match.index + match[0].length;
    return match;
  }

  onMore(listener: (() => void) | undefined): void {
    this.waiting = listener;
  }
}

/** A child process whose output is text. */
export class Child {
  readonly name: string;
  readonly pid: number;
  /** Resolves once, when the process is gone and its output is complete. */
  readonly ended: Promise<Ended>;
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly out: Output;
  private readonly err: Output;
  private end: Ended | undefined;

  /**
   * Starts `command`; a program that cannot be started shows as exit status 127 with the reason on `stderr`.
   * @param options `name` is used in messages; `env` is added to this process's environment.
   */
  constructor(
    command: string,
    args: readonly string[],
    options: { name?: string; env?: Record<string, string> } = {},
  ) {
    this.name = options.name ?? command;
    this.process = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      env: { ...process.env, ...options.env },
      stdio: 'pipe',
    });
    this.pid = this.process.pid ?? -1;
    this.out = new Output(this.process.stdout);
    this.err = new Output(this.process.stderr);
    this.end = undefined;
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject);
      this.process.once('close', (status, signal) => {
        this.end = { status, signal };
        resolve(this.end);
      });
    });
    // Whoever waits sees the error; a child nobody waits for must not end the test process.
    this.ended.catch(() => undefined);
    // Writing to a child that is gone is not news: its end is.
    this.process.stdin.on('error', () => undefined);
  }

  get stdout(): string {
    return this.out.text;
  }

  get stderr(): string {
    return this.err.text;
  }

  /** True until the process is gone. */
  get running(): boolean {
    return this.end === undefined;
  }

  /** Types `text` into the child's standard input. */
  type(text: string): void {
    this.process.stdin.write(text);
  }

  /**
   * Waits for a whole line that matches, after the last one waited for on this stream.
   * @throws when `ms` pass or the child ends first; the message carries the end of its output.
   */
  async waitFor(
    pattern: RegExp,
    ms: number,
    stream: 'stdout' | 'stderr' = 'stdout',
  ): Promise<RegExpExecArray> {
    const output = stream === 'stdout' ? this.out : this.err;
    return await new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        output.onMore(undefined);
      };
      const look = (): boolean => {
        const match = output.take(pattern);
        if (match === undefined) return false;
        finish();
        resolve(match);
        return true;
      };
      const fail = (why: string): void => {
        finish();
        reject(new Error(`${this.name} ${why} before ${pattern} was seen${this.tail()}`));
      };
      const timer = setTimeout(() => fail(`went on for ${ms} ms`), ms);
      if (look()) return;
      output.onMore(look);
      this.ended.then(
        ({ status, signal }) => {
          if (!look()) fail(`ended (${signal ?? `status ${status}`})`);
        },
        (error: unknown) => fail(`could not be started (${String(error)})`),
      );
    });
  }

  /**
   * Waits for the process to end by itself.
   * @throws when it is still there after `ms`.
   */
  async exit(ms: number): Promise<Ended> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.name} did not end in ${ms} ms${this.tail()}`)), ms);
    });
    try {
      return await Promise.race([this.ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  /** Ends the process if it still runs, and waits until it is gone. Safe to call twice. */
  async close(): Promise<void> {
    if (this.running) this.process.kill('SIGKILL');
    await this.ended.catch(() => undefined);
  }

  private tail(): string {
    const last = (text: string): string => text.trimEnd().split('\n').slice(-15).join('\n  ');
    return `\n  ${last(this.stdout)}\n  stderr: ${last(this.stderr)}`;
  }
}

/** What a program printed and how it ended. */
export interface Finished extends Ended {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; never throws for its exit status. */
export async function run(command: string, args: readonly string[], ms = 180_000): Promise<Finished> {
  const child = new Child(command, args);
  try {
    const end = await child.exit(ms);
    return { ...end, stdout: child.stdout, stderr: child.stderr };
  } finally {
    await child.close();
  }
}

/**
 * Runs a program that has to succeed and answers what it printed.
 * @throws when it does not, with what it said.
 */
export async function mustRun(command: string, args: readonly string[], ms = 180_000): Promise<string> {
  const { status, signal, stdout, stderr } = await run(command, args, ms);
  if (status !== 0) {
    throw new Error(
      `${command} ${args.join(' ')}: ${signal ?? `status ${status}`}: ${stderr.trim() || stdout.trim()}`,
    );
  }
  return stdout;
}
