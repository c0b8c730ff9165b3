import cluster, { type Worker } from 'node:cluster';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deferred } from '@ws/conn/internal';
import { type ClusterCloseOptions, type Control, longestClose } from './wire.ts';

/**
 * The environment variable with the number of workers, by which `@ws/node-server` divides memory. The pid of
 * the primary is in its name: children of a worker inherit it, and must ignore it.
 */
export function workersVariable(primary: number): string {
  return `WS_WORKERS_${primary}`;
}

/** Shortest and longest pause before a worker that has ended is replaced, in ms. */
const MIN_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** After a worker that has lived so long, in ms, the pause is the shortest one again. */
const LIVED_MS = 10_000;
/** All processes end after so many workers in a row that ended before they had started. */
const MAX_FAILURES = 5;
/** Ms over which a replaced worker spreads its close frames. */
const OVER_MS = 10_000;

/** A worker that has not ended. */
interface Member {
  readonly worker: Worker;
  readonly started: Deferred<void>;
  readonly ended: Deferred<void>;
  hasStarted: boolean;
  isClosing: boolean;
}

/** The workers of a cluster. A worker that ends is replaced. */
export class WorkerPool {
  readonly #size: number;
  /** The oldest one is first. */
  readonly #members = new Set<Member>();
  /** Resolves when all workers have started. */
  readonly #up = new Deferred<void>();
  /** Whether any worker has started. */
  #hasServed = false;
  readonly #closing = new AbortController();
  #delay = MIN_DELAY_MS;
  /** Number of the last workers in a row that ended before they had started. */
  #failures = 0;
  #replacing: Promise<void> = Promise.resolve();

  constructor(size: number) {
    this.#size = size;
  }

  /** Resolves when all workers have started. Rejects with the error of `start`. */
  run(): Promise<void> {
    process.on('exit', () => {
      for (const { worker } of this.#members) worker.process.kill('SIGKILL');
    });
    for (let i = 0; i < this.#size; i++) this.#fork();
    return this.#up.promise;
  }

  /**
   * Replaces the workers one by one: a new one starts, then the oldest one closes. Rejects, and keeps the
   * old one, if a new one does not start.
   */
  replace(): Promise<void> {
    return (this.#replacing = this.#replacing.catch(() => {}).then(() => this.#renew()));
  }

  /** Closes all workers. */
  async close(options: ClusterCloseOptions = {}): Promise<void> {
    this.#closing.abort();
    await Promise.all(Array.from(this.#members, (member) => this.#stop(member, options)));
  }

  /** The members that are not closing. */
  get #active(): Member[] {
    return [...this.#members].filter(({ isClosing }) => !isClosing);
  }

  async #renew(): Promise<void> {
    const old = new Set(this.#members);
    while (!this.#closing.signal.aborted && this.#active.some((member) => old.has(member))) {
      await this.#fork().started.promise;
      // If an old one has ended meanwhile, the new one takes its place.
      const [oldest, ...others] = this.#active;
      if (others.length >= this.#size) await this.#stop(oldest!, { over: OVER_MS }, true);
    }
  }

  #fork(): Member {
    const worker = cluster.fork({ [workersVariable(process.pid)]: this.#size });
    const member: Member = {
      worker,
      started: new Deferred(),
      ended: new Deferred(),
      hasStarted: false,
      isClosing: false,
    };
    this.#members.add(member);
    const bornAt = performance.now();
    worker.on('message', (message) => {
      const act = (message as Control | null)?.['@ws/hub/cluster'];
      if (act?.[0] === 'ready') this.#serve(member);
      else if (act?.[0] === 'failed') member.started.reject(Object.assign(act[1], act[2]));
    });
    // The system may be unable to create a process. Then there is no event 'exit'.
    worker.on('error', (error) => {
      if (worker.process.pid === undefined) void this.#ended(member, error.message);
    });
    worker.on('exit', (code, signal) => {
      if (performance.now() - bornAt >= LIVED_MS) this.#delay = MIN_DELAY_MS;
      // Its close has failed, or has taken too long.
      const hasFailed = member.hasStarted && code !== 0;
      if (this.#closing.signal.aborted && hasFailed) process.exitCode = 1;
      void this.#ended(member, signal ?? `exit code ${code}`);
    });
    return member;
  }

  #serve(member: Member): void {
    if (member.isClosing) return;
    member.hasStarted = true;
    member.started.resolve();
    this.#hasServed = true;
    this.#failures = 0;
    const serving = this.#active.filter(({ hasStarted }) => hasStarted);
    if (serving.length >= this.#size) this.#up.resolve();
  }

  async #ended(member: Member, how: string): Promise<void> {
    const { worker, hasStarted, isClosing } = member;
    this.#members.delete(member);
    member.ended.resolve();
    if (this.#closing.signal.aborted || isClosing) return member.started.resolve();
    const why = `worker ${worker.process.pid} ended with ${how}`;
    member.started.reject(new Error(`${why} before it had started`));
    // A replacement has one worker more than needed.
    const isMissing = this.#active.length < this.#size;
    const delay = this.#delay;
    if (hasStarted) {
      process.emitWarning(isMissing ? `${why}; another one starts in ${delay} ms` : why);
    }
    if (!isMissing) return;
    if (!hasStarted) {
      const error: unknown = await member.started.promise.catch((reason: unknown) => reason);
      if (this.#hasServed) console.error(error);
      if (!this.#hasServed || ++this.#failures >= MAX_FAILURES) {
        process.exitCode = 1;
        await this.close();
        if (this.#hasServed) process.exit();
        return this.#up.reject(error);
      }
    }
    this.#delay = Math.min(2 * delay, MAX_DELAY_MS);
    await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => {});
    if (!this.#closing.signal.aborted && this.#active.length < this.#size) this.#fork();
  }

  /** Closes a worker. Resolves when it has ended. */
  async #stop(member: Member, options: ClusterCloseOptions, isReplaced = false): Promise<void> {
    const { worker, hasStarted, isClosing } = member;
    if (isClosing) return member.ended.promise;
    member.isClosing = true;
    // A worker that has not started has no clients. It may also miss the message below.
    const ms = hasStarted ? longestClose(options) : 0;
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), ms);
    const control: Control = { '@ws/hub/cluster': ['close', options, isReplaced] };
    // With a callback, there is no event 'error' for a worker that has just ended.
    worker.send(control, () => {});
    await member.ended.promise;
    clearTimeout(timer);
  }
}
