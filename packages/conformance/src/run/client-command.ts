import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';

/** How much of what the command prints is kept, in characters: its end. */
const KEPT = 2000;
/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE = 2000;
/** A command may be a shell, or npx, and the client its child: all of them are a process group, where there are groups. */
const GROUPED = process.platform !== 'win32';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The client under test, as a process. */
export class ClientCommand {
  /** Resolves when the process has ended, or could not be started. */
  readonly exited: Promise<void>;
  over = false;
  readonly #child: ChildProcess;
  #printed = '';
  #end = '';

  constructor(command: readonly string[], url: string) {
    const placed = command.some((word) => word.includes('{url}'));
    const [program = '', ...args] = command.map((word) => word.replaceAll('{url}', url));
    if (!placed) args.push(url);
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: GROUPED });
    process.once('exit', this.#onExit);
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#printed = (this.#printed + chunk.toString('utf8')).slice(-KEPT);
      });
    }
    this.exited = new Promise((done) => {
      const end = (words: string): void => {
        this.over = true;
        this.#end = words;
        this.#leaveProcess();
        done();
      };
      this.#child.on('error', (error) => end(`the command could not be started: ${error.message}`));
      this.#child.on('close', (code, signal) =>
        end(`the command ended with ${signal ?? `code ${code}`}`),
      );
    });
  }

  /** How the process ended, and what it printed last; waits for that, but not for long. */
  async lastWords(ms: number): Promise<string> {
    await this.#exitedWithin(ms);
    const printed = this.#printed.trim();
    const end = this.over ? this.#end : 'the command is still running';
    return printed === '' ? end : `${end}; it printed last: ${printed}`;
  }

  /** Ends the process, if it has not ended. */
  async stop(): Promise<void> {
    if (this.over) return;
    this.#kill('SIGTERM');
    if (!(await this.#exitedWithin(GRACE))) {
      this.#kill('SIGKILL');
      // Else a process that has left the group could hold them open.
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
      // Nobody is left.
    }
  }

  readonly #onExit = (): void => this.#kill('SIGKILL');

  /** A group of its own gets no Ctrl-C from the terminal. */
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#kill('SIGKILL');
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  #leaveProcess(): void {
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
    return this.over;
  }
}
