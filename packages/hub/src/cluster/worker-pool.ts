import cluster, { type Worker } from 'node:cluster';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deferred } from '@ws/conn/internal';
import { actOf, type Control, type DrainOptions, longestClose } from './wire.ts';

/**
 * Name of the environment variable with the number of workers, by which `@ws/node-server` divides memory.
 * Children of a worker inherit the variable, and must ignore it: so its name has the pid of the primary.
 */
export function workersVariable(primary: number): string {
  return `WS_WORKERS_${primary}`;
}

/** Shortest and longest pause before a worker that has ended is replaced, in ms. */
const MIN_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** When a worker has lived for so many ms, the next pause is the shortest one again. */
const LIVED_MS = 10_000;
/** All processes end when so many workers in a row have ended before they had started. */
const MAX_FAILURES = 5;
/** Ms that a new worker may take to start, in a replacement. */
const MAX_START_MS = 120_000;
/** Ms over which a replaced worker spreads its close frames. */
const OVER_MS = 10_000;

/** A worker that has not ended. */
class LiveWorker {
  readonly worker: Worker;
  readonly started = new Deferred<void>();
  readonly ended = new Deferred<void>();
  /** The error of `start`, after which the worker ends. */
  failure: Error | undefined;
  hasStarted = false;
  isClosing = false;
  #killAt = Infinity;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(worker: Worker) {
    this.worker = worker;
    void this.ended.promise.then(() => clearTimeout(this.#killTimer));
  }

  /** Kills the worker after `ms`, unless an earlier call kills it before. */
  killAfter(ms: number): void {
    const at = performance.now() + ms;
    if (at >= this.#killAt) return;
    clearTimeout(this.#killTimer);
    this.#killAt = at;
    this.#killTimer = setTimeout(() => this.worker.process.kill('SIGKILL'), ms);
  }
}

/** The workers of a cluster. A worker that ends is replaced. */
export class WorkerPool {
  readonly #size: number;
  /** The workers that have not ended, the oldest first. */
  readonly #live = new Set<LiveWorker>();
  /** Resolves when all workers have started. */
  readonly #allStarted = new Deferred<void>();
  /** Whether a worker has ever started. */
  #hasServed = false;
  readonly #closing = new AbortController();
  #delay = MIN_DELAY_MS;
  /** Number of the last workers in a row that ended before they had started. */
  #failures = 0;
  /** The running replacement, and the next one, which waits for its end. */
  #replacing: Promise<void> = Promise.resolve();
  #nextReplacement: Promise<void> | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  /** Resolves when all workers have started. Rejects with the error of `start`. */
  run(): Promise<void> {
    process.on('exit', () => {
      for (const { worker } of this.#live) worker.process.kill('SIGKILL');
    });
    for (let i = 0; i < this.#size; i++) this.#fork();
    return this.#allStarted.promise;
  }

  /**
   * Replaces the workers one by one: a new worker starts, then the oldest one closes. If a new worker does
   * not start within {@link MAX_START_MS}, rejects and keeps the old one. All calls during a replacement
   * share the next one.
   */
  replace(): Promise<void> {
    this.#nextReplacement ??= this.#replacing
      .catch(() => {})
      .then(() => {
        this.#replacing = this.#nextReplacement!;
        this.#nextReplacement = undefined;
        return this.#renew();
      });
    return this.#nextReplacement;
  }

  /** Closes all workers. */
  async close(options: DrainOptions = {}): Promise<void> {
    this.#closing.abort();
    await Promise.all(Array.from(this.#live, (live) => this.#stop(live, options)));
  }

  /** The workers that are not closing. */
  get #active(): LiveWorker[] {
    return [...this.#live].filter(({ isClosing }) => !isClosing);
  }

  async #renew(): Promise<void> {
    const old = new Set(this.#live);
    while (!this.#closing.signal.aborted && this.#active.some((live) => old.has(live))) {
      const { worker, started } = this.#fork();
      const timer = setTimeout(() => {
        started.reject(new Error(`worker ${worker.process.pid} had not started after 2 minutes`));
        worker.process.kill('SIGKILL');
      }, MAX_START_MS);
      await started.promise.finally(() => clearTimeout(timer));
      // If an old worker has ended meanwhile, the new one has taken its place.
      const [oldest, ...others] = this.#active;
      if (others.length >= this.#size) await this.#stop(oldest!, { over: OVER_MS }, true);
    }
  }

  #fork(): LiveWorker {
    const worker = cluster.fork({ [workersVariable(process.pid)]: this.#size });
    const live = new LiveWorker(worker);
    this.#live.add(live);
    const bornAt = performance.now();
    worker.on('message', (message) => {
      const act = actOf(message);
      if (act?.[0] === 'ready') this.#workerStarted(live);
      else if (act?.[0] === 'failed') live.failure = act[1];
    });
    // If the system cannot create a process, there is no event 'exit'.
    worker.on('error', (error) => {
      if (worker.process.pid === undefined) void this.#ended(live, error.message);
    });
    worker.on('exit', (code, signal) => {
      if (performance.now() - bornAt >= LIVED_MS) this.#delay = MIN_DELAY_MS;
      // During a close of the pool, such an end means: the worker's close has failed or took too long.
      const hasFailed = live.hasStarted && code !== 0;
      if (this.#closing.signal.aborted && hasFailed) process.exitCode = 1;
      void this.#ended(live, signal ?? `exit code ${code}`);
    });
    return live;
  }

  #workerStarted(live: LiveWorker): void {
    if (live.isClosing) return;
    live.hasStarted = true;
    live.started.resolve();
    this.#hasServed = true;
    this.#failures = 0;
    const serving = this.#active.filter(({ hasStarted }) => hasStarted);
    if (serving.length >= this.#size) this.#allStarted.resolve();
  }

  async #ended(live: LiveWorker, how: string): Promise<void> {
    const { worker, hasStarted, isClosing } = live;
    this.#live.delete(live);
    live.ended.resolve();
    if (this.#closing.signal.aborted || isClosing) return live.started.resolve();
    const why = `worker ${worker.process.pid} ended with ${how}`;
    live.started.reject(live.failure ?? new Error(`${why} before it had started`));
    // During a replacement there is one worker more than necessary.
    const isMissing = this.#active.length < this.#size;
    const delay = this.#delay;
    if (hasStarted) {
      process.emitWarning(isMissing ? `${why}; another one starts in ${delay} ms` : why);
    }
    if (!isMissing) return;
    if (!hasStarted) {
      const error: unknown = await live.started.promise.catch((reason: unknown) => reason);
      if (this.#hasServed) console.error(error);
      if (!this.#hasServed || ++this.#failures >= MAX_FAILURES) {
        process.exitCode = 1;
        await this.close();
        if (this.#hasServed) process.exit();
        return this.#allStarted.reject(error);
      }
    }
    await this.#forkLater();
  }

  /** Starts a worker after a pause. Tries again if the system cannot create a process. */
  async #forkLater(): Promise<void> {
    const delay = this.#delay;
    this.#delay = Math.min(2 * delay, MAX_DELAY_MS);
    await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => {});
    if (this.#closing.signal.aborted || this.#active.length >= this.#size) return;
    try {
      this.#fork();
    } catch (error) {
      console.error(error);
      void this.#forkLater();
    }
  }

  /** Closes a worker, or closes it sooner. Resolves when it has ended. */
  async #stop(live: LiveWorker, options: DrainOptions, isReplaced = false): Promise<void> {
    live.isClosing = true;
    // A worker that has not started has no clients. It may also miss the message below.
    live.killAfter(live.hasStarted ? longestClose(options) : 0);
    const control: Control = { '@ws/hub/cluster': ['close', options, isReplaced] };
    // With a callback, there is no event 'error' for a worker that has just ended.
    live.worker.send(control, () => {});
    await live.ended.promise;
  }
}
