import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';

/** Size of the kept end of the command's output, in characters. */
const MAX_OUTPUT = 2000;
/** Time from SIGTERM to SIGKILL, in ms. */
const KILL_DELAY = 2000;
/**
 * A shell or npx may start the client as a child. A process group contains all of them.
 * Windows has no process groups.
 */
const GROUPED = process.platform !== 'win32';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * No case was tried: the client's command does not start, or ends before its first connection.
 * {@link runClientSuite} rejects with it.
 */
export class NotAskedError extends Error {
  override readonly name = 'NotAskedError';
  readonly code = 'NOT_ASKED';
}

/** The client under test, as a process. */
export class ClientCommand {
  /** Resolves when the process has exited or failed to start. */
  readonly exited: Promise<void>;
  /** True after the process has exited or failed to start. */
  hasExited = false;
  /** The reason why the process does not start, such as `spawn nonexist ENOENT`. */
  startFault: string | undefined;
  /** The signal or the exit code that ended the process; undefined while it runs. */
  ended: NodeJS.Signals | number | undefined;
  readonly #child: ChildProcess;
  #printed = '';
  #line = '';
  #end = '';

  /**
   * Starts the command.
   *
   * @param command - Program and arguments. `url` replaces `{url}`, or is appended.
   * @param onLine - Receives each line that the command prints. It then has an input: {@link write}.
   */
  constructor(command: readonly string[], url: string, onLine?: (line: string) => void) {
    const placed = command.some((word) => word.includes('{url}'));
    const [program = '', ...args] = command.map((word) => word.replaceAll('{url}', url));
    if (!placed) args.push(url);
    const input = onLine === undefined ? 'ignore' : 'pipe';
    this.#child = spawn(program, args, { stdio: [input, 'pipe', 'pipe'], detached: GROUPED });
    // The command may end before it has read all.
    this.#child.stdin?.on('error', () => {});
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (onLine === undefined) return;
      const lines = (this.#line + text).split('\n');
      this.#line = lines.pop()!;
      for (const line of lines) onLine(line);
    });
    process.once('exit', this.#onExit);
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#printed = (this.#printed + text).slice(-MAX_OUTPUT);
      });
    }
    this.exited = new Promise((done) => {
      const end = (text: string): void => {
        this.hasExited = true;
        this.#end = text;
        this.#removeListeners();
        done();
      };
      this.#child.on('error', (error) => {
        // A failed signal is an error of the process too.
        if (this.#child.pid === undefined) this.startFault = error.message;
        end(`the command failed to start: ${error.message}`);
      });
      this.#child.on('close', (code, signal) => {
        this.ended = signal ?? code ?? undefined;
        end(`the command exited with ${signal ?? `code ${code}`}`);
      });
    });
  }

  /** Gives the command a line to read. */
  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Waits up to `ms` for the exit, then describes it, with the end of the output. */
  async exitText(ms: number): Promise<string> {
    await this.#exitedWithin(ms);
    const printed = this.#printed.trim();
    const end = this.hasExited ? this.#end : 'the command is still running';
    return printed === '' ? end : `${end}; last output: ${printed}`;
  }

  /** Terminates the process and its children. */
  async stop(): Promise<void> {
    if (this.hasExited) return;
    this.#kill('SIGTERM');
    if (!(await this.#exitedWithin(KILL_DELAY))) {
      this.#kill('SIGKILL');
      // A process that has left the group could keep the pipes open.
      this.#child.stdout?.destroy();
      this.#child.stderr?.destroy();
    }
    await this.exited;
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(GROUPED ? -pid : pid, signal);
    } catch {
      // The group has no process left.
    }
  }

  readonly #onExit = (): void => this.#kill('SIGKILL');

  /** The terminal sends Ctrl-C to its own process group only, so forward the end to the command. */
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#kill('SIGKILL');
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  #removeListeners(): void {
    process.off('exit', this.#onExit);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }

  async #exitedWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((done) => {
      timer = setTimeout(done, ms);
    });
    await Promise.race([this.exited, late]);
    clearTimeout(timer);
    return this.hasExited;
  }
}
