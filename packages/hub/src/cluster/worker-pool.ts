import cluster, { type Worker } from 'node:cluster';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deferred } from '@ws/conn/internal';
import {
  type ClusterCloseOptions,
  type Control,
  checkClose,
  contentOf,
  longestClose,
  marked,
} from './wire.ts';

/** The variable of the environment with the number of workers. `@ws/node-server` divides memory by it. */
export const WORKERS = 'WS_WORKERS';
/** Shortest and longest pause before a worker that has ended is replaced, in ms. */
const MIN_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** A worker that has lived so long, in ms, brings back the shortest pause. */
const LIVED_MS = 10_000;
/** A worker that starts for so long, in ms, is reported, and killed during a replacement. */
const START_MS = 30_000;
/** So many workers in a row that end before they listen end all. */
const MAX_FAILURES = 5;
/** How long the closes of a replaced worker are spread, in ms. */
const OVER_MS = 10_000;

/** A worker that has not ended. */
interface Member {
  readonly worker: Worker;
  readonly generation: number;
  readonly started: Deferred<void>;
  readonly ended: Deferred<void>;
  /** Node loses the messages that a worker gets before it hears. */
  state: 'starting' | 'hearing' | 'serving' | 'closing';
}

/** The workers of a cluster. A worker that ends is replaced. */
export class WorkerPool {
  readonly #size: number;
  /** The oldest ones are first. */
  readonly #members = new Set<Member>();
  /** All workers have started once. */
  readonly #up = new Deferred<void>();
  #isUp = false;
  /** A worker has started once. */
  #hasServed = false;
  readonly #closing = new AbortController();
  #delay = MIN_DELAY_MS;
  /** Number of the last workers in a row that ended before they had started. */
  #failures = 0;
  /** Number of the last replacement. */
  #generation = 0;
  #replacing: Promise<void> = Promise.resolve();

  constructor(size: number) {
    this.#size = size;
  }

  /** Resolves when all workers have started. Rejects with the error of `start`. */
  run(): Promise<void> {
    for (let i = 0; i < this.#size; i++) this.#fork();
    return this.#up.promise;
  }

  /**
   * Replaces the workers one by one: a new one starts, then the oldest one closes. Rejects, and keeps the
   * old one, if a new one does not start.
   */
  replace(): Promise<void> {
    const generation = ++this.#generation;
    this.#replacing = this.#replacing.catch(() => {}).then(() => this.#renew(generation));
    return this.#replacing;
  }

  /** Closes all workers. */
  async close(options: ClusterCloseOptions = {}): Promise<void> {
    checkClose(options);
    this.#closing.abort();
    await Promise.all(Array.from(this.#members, (member) => this.#stop(member, options)));
  }

  /** Ends all workers at once. */
  kill(): void {
    this.#closing.abort();
    for (const { worker } of this.#members) worker.process.kill('SIGKILL');
  }

  get #isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Those that serve, or will. */
  get #active(): Member[] {
    return [...this.#members].filter(({ state }) => state !== 'closing');
  }

  /** Replaces the workers that are older than `generation`. */
  async #renew(generation: number): Promise<void> {
    while (!this.#isClosing && this.#active.some((member) => member.generation < generation)) {
      const member = this.#fork();
      const late = setTimeout(() => {
        member.started.reject(new Error(`a new worker has not started for ${START_MS} ms`));
        member.worker.process.kill('SIGKILL');
      }, START_MS);
      try {
        await member.started.promise;
      } catch (error) {
        if (this.#isClosing) return;
        throw error;
      } finally {
        clearTimeout(late);
      }
      // An old one may have ended meanwhile.
      const [oldest, ...others] = this.#active;
      if (others.length >= this.#size) await this.#stop(oldest!, { over: OVER_MS }, true);
    }
  }

  #fork(): Member {
    const worker = cluster.fork({ [WORKERS]: this.#size });
    const member: Member = {
      worker,
      generation: this.#generation,
      started: new Deferred(),
      ended: new Deferred(),
      state: 'starting',
    };
    this.#members.add(member);
    const bornAt = performance.now();
    const late = setTimeout(() => {
      const { pid } = worker.process;
      process.emitWarning(
        `worker ${pid} has not started for ${START_MS} ms: start has not settled`,
      );
    }, START_MS);
    // Most of the starts are awaited by no replacement.
    member.started.promise.catch(() => {}).finally(() => clearTimeout(late));
    worker.on('message', (message) => {
      const control = contentOf('@ws/hub/cluster', message) as Control | undefined;
      if (control?.[0] === 'hears' && member.state === 'starting') member.state = 'hearing';
      else if (control?.[0] === 'ready') this.#serve(member);
      else if (control?.[0] === 'failed') member.started.reject(control[1]);
    });
    // A process that could not be made.
    worker.on('error', (error) => {
      member.started.reject(error);
      if (worker.process.pid === undefined) void this.#ended(member, error.message);
    });
    worker.on('exit', (code, signal) => {
      if (performance.now() - bornAt >= LIVED_MS) this.#delay = MIN_DELAY_MS;
      // Its close has failed.
      if (this.#isClosing && code) process.exitCode = 1;
      void this.#ended(member, signal ?? `exit code ${code}`);
    });
    return member;
  }

  #serve(member: Member): void {
    if (member.state === 'closing') return;
    member.state = 'serving';
    member.started.resolve();
    this.#hasServed = true;
    this.#failures = 0;
    if (this.#active.filter(({ state }) => state === 'serving').length < this.#size) return;
    this.#isUp = true;
    this.#up.resolve();
  }

  async #ended(member: Member, how: string): Promise<void> {
    const { state } = member;
    const why = `worker ${member.worker.process.pid} ended with ${how}`;
    this.#members.delete(member);
    member.ended.resolve();
    member.started.reject(new Error(`${why} before it had started`));
    if (this.#isClosing || state === 'closing') return;
    // During a replacement there is one more.
    const isMissing = this.#active.length < this.#size;
    const delay = this.#delay;
    if (state === 'serving') {
      process.emitWarning(isMissing ? `${why}; another one starts in ${delay} ms` : why);
    } else if (isMissing) {
      const error: unknown = await member.started.promise.catch((reason: unknown) => reason);
      if (!this.#hasServed || ++this.#failures >= MAX_FAILURES) return this.#fail(error);
      console.error(error);
    }
    if (!isMissing) return;
    this.#delay = Math.min(2 * delay, MAX_DELAY_MS);
    await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => {});
    if (!this.#isClosing && this.#active.length < this.#size) this.#fork();
  }

  /** Ends all. `error` is that of the last worker. */
  async #fail(error: unknown): Promise<void> {
    process.exitCode = 1;
    if (!this.#hasServed) this.kill();
    else await this.close();
    this.#up.reject(error);
    if (!this.#isUp) return;
    console.error(error);
    process.exit(1);
  }

  /** Closes a worker. Resolves when it has ended. */
  async #stop(member: Member, options: ClusterCloseOptions, isReplaced = false): Promise<void> {
    const { worker, state } = member;
    if (state === 'closing') return member.ended.promise;
    member.state = 'closing';
    const kill = (): void => void worker.process.kill('SIGKILL');
    const timer = setTimeout(kill, longestClose(options));
    const control: Control = ['close', options, isReplaced];
    // It has no clients before it takes messages.
    if (state === 'starting') kill();
    // The callback gets the error of a worker that has just ended.
    else worker.send(marked('@ws/hub/cluster', control), () => {});
    await member.ended.promise;
    clearTimeout(timer);
  }
}
