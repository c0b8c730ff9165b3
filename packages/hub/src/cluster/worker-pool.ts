import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deferred } from '@ws/conn/internal';
import { type ClusterCloseOptions, type Control, contentOf, marked } from './wire.ts';

/** The variable of the environment with the number of workers. `@ws/node-server` divides memory by it. */
export const WORKERS = 'WS_WORKERS';
/** Shortest and longest pause before a worker that has ended is replaced, in ms. */
const MIN_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** A worker that has lived so long, in ms, brings back the shortest pause. */
const LIVED_MS = 10_000;
/** So many workers in a row that end before they listen end all. */
const MAX_FAILURES = 5;
/** How long the closes of a replaced worker are spread, in ms. */
const OVER_MS = 10_000;
/** The default of `timeout` of a close, in ms. The hub and the server may each take it. */
const TIMEOUT_MS = 30_000;
/** Time for the rest of a close before a worker is killed, in ms. */
const GRACE_MS = 5_000;

/** The workers of a cluster. A worker that ends is replaced. */
export class WorkerPool {
  readonly #size: number;
  /** All workers that have not ended. */
  readonly #live = new Set<Worker>();
  /** Those that take messages. */
  readonly #hearing = new WeakSet<Worker>();
  /** Those in service, which are replaced when they end. */
  readonly #serving = new Set<Worker>();
  readonly #failed = new Deferred<never>();
  /** All workers have started once. */
  #isUp = false;
  /** A worker has started once. */
  #hasServed = false;
  #closing = false;
  #delay = MIN_DELAY_MS;
  /** Number of the last workers in a row that ended before they had started. */
  #failures = 0;
  #replacing: Promise<void> | undefined;
  /** The replacement after the current one. */
  #next: Promise<void> | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  /** Resolves when all workers have started. Rejects with the error of `start`. */
  async run(): Promise<void> {
    const all = Array.from({ length: this.#size }, () => this.#fill(0));
    await Promise.race([Promise.all(all), this.#failed.promise]);
    this.#isUp = true;
  }

  /**
   * Replaces the workers one by one: a new one starts, then the old one closes. Rejects, and keeps the
   * old one, if a new one does not start.
   */
  async replace(): Promise<void> {
    if (this.#replacing === undefined) {
      this.#replacing = this.#replaceAll().finally(() => {
        this.#replacing = undefined;
      });
      return this.#replacing;
    }
    // Workers that have been replaced already may run older files.
    this.#next ??= this.#replacing
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.replace();
      });
    return this.#next;
  }

  /** Closes all workers. */
  async close(options: ClusterCloseOptions = {}): Promise<void> {
    this.#closing = true;
    this.#serving.clear();
    await Promise.all(Array.from(this.#live, (worker) => this.#stop(worker, options)));
  }

  /** Ends all workers at once. */
  kill(): void {
    this.#closing = true;
    for (const worker of this.#live) worker.process.kill('SIGKILL');
  }

  async #replaceAll(): Promise<void> {
    for (const old of Array.from(this.#serving)) {
      if (this.#closing) return;
      // It may have ended meanwhile.
      if (!this.#serving.has(old)) continue;
      this.#serve(await this.#fork());
      if (this.#serving.delete(old)) await this.#stop(old, { over: OVER_MS });
    }
  }

  /** Starts a worker after `ms`, and again until one has started. */
  async #fill(ms: number): Promise<void> {
    await sleep(ms);
    if (this.#closing) return;
    try {
      this.#serve(await this.#fork());
    } catch (error) {
      if (this.#closing) return;
      this.#failures++;
      if (!this.#hasServed || this.#failures >= MAX_FAILURES) return this.#fail(error);
      return this.#fill(this.#nextDelay());
    }
  }

  #serve(worker: Worker): void {
    this.#hasServed = true;
    this.#failures = 0;
    if (worker.isDead()) void this.#fill(this.#nextDelay());
    else if (!this.#closing) this.#serving.add(worker);
  }

  /** Resolves when the worker has started. Rejects when it ends before. */
  async #fork(): Promise<Worker> {
    const worker = cluster.fork({ [WORKERS]: this.#size });
    const bornAt = performance.now();
    this.#live.add(worker);
    const started = new Deferred<Worker>();
    worker.on('message', (message) => {
      const control = contentOf('@ws/hub/cluster', message) as Control | undefined;
      if (control?.[0] === 'hears') this.#hearing.add(worker);
      else if (control?.[0] === 'ready') started.resolve(worker);
      else if (control?.[0] === 'failed') started.reject(control[1]);
    });
    // A process that could not be made.
    worker.on('error', (error) => started.reject(error));
    worker.on('exit', (code, signal) => {
      this.#live.delete(worker);
      if (performance.now() - bornAt >= LIVED_MS) this.#delay = MIN_DELAY_MS;
      const why = `worker ${worker.process.pid} ended with ${signal ?? `exit code ${code}`}`;
      started.reject(new Error(`${why} before it had started`));
      if (!this.#serving.delete(worker)) return;
      const ms = this.#nextDelay();
      process.emitWarning(`${why}; another one starts in ${ms} ms`);
      void this.#fill(ms);
    });
    return started.promise;
  }

  #nextDelay(): number {
    const delay = this.#delay;
    this.#delay = Math.min(2 * delay, MAX_DELAY_MS);
    return delay;
  }

  /** Ends all. `error` is that of the last worker. */
  async #fail(error: unknown): Promise<void> {
    process.exitCode = 1;
    if (!this.#hasServed) this.kill();
    else await this.close();
    this.#failed.reject(error);
    if (!this.#isUp) return;
    console.error(error);
    process.exit(1);
  }

  /** Closes a worker. Resolves when it has ended. */
  async #stop(worker: Worker, options: ClusterCloseOptions): Promise<void> {
    if (worker.isDead()) return;
    const { timeout = TIMEOUT_MS, over = 0 } = options;
    const kill = (): void => void worker.process.kill('SIGKILL');
    const timer = setTimeout(kill, over + 2 * timeout + GRACE_MS);
    const ended = once(worker, 'exit');
    const control: Control = ['close', options];
    // It has no clients before it takes messages.
    if (!this.#hearing.has(worker)) kill();
    // The callback gets the error of a worker that has just ended.
    else worker.send(marked('@ws/hub/cluster', control), () => {});
    await ended;
    clearTimeout(timer);
  }
}
