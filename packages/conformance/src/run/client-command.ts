import { type ChildProcess, spawn } from 'node:child_process';

/** How much of what the command prints is kept, in characters: its end. */
const KEPT = 2000;
/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE = 2000;

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
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#printed = (this.#printed + chunk.toString('utf8')).slice(-KEPT);
      });
    }
    this.exited = new Promise((done) => {
      const end = (words: string): void => {
        this.over = true;
        this.#end = words;
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
    this.#child.kill('SIGTERM');
    if (!(await this.#exitedWithin(GRACE))) this.#child.kill('SIGKILL');
    await this.exited;
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
