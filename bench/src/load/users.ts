import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type ClientConn, Dialer } from '@ws/node-client';
import { IntervalLatencies } from './latencies.ts';
import type { RunResult } from './load-worker.ts';
import type { ConnectOptions, Script, User } from './script.ts';
import { type Interval, Series } from './series.ts';
import { connectionsAt, durationOf, moments, type Stages } from './stages.ts';
import { type Counter, UserSocket } from './user-socket.ts';

/** Time between two looks at the stages, in ms. */
const STEP_MS = 20;
/** Most users that start in a step, so that the queue of a listening socket has room. */
const MOST_STARTS = 64;
/** Pause of a user after an error, in ms. */
const AFTER_ERROR_MS = 500;
/** Time until the connections of a user that has to leave are ended, in ms. */
const LEAVE_MS = 1000;
/** Time after which a script that does not return is left alone, in ms. */
const GRACE_MS = 5000;
const FOREVER_MS = 2 ** 31 - 1;
/** Number of different errors that are kept. */
const MOST_ERRORS = 20;

/** Where the users connect to. */
export interface UsersTarget {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The result of a load of users. */
export interface UsersResult extends Omit<RunResult, 'bytes'> {
  readonly errors: number;
  /** The different errors and their numbers, in the order of their first occurrence. */
  readonly messagesOfErrors: readonly (readonly [message: string, count: number])[];
  /** Planned turns that no user was free for. */
  readonly missedTurns: number;
  readonly mostConnections: number;
}

/** Users that run a script by stages. */
export class Users implements Counter {
  messages = 0;
  /** Open connections. */
  connections = 0;
  errors = 0;
  readonly latencies = new IntervalLatencies();
  readonly #script: Script;
  readonly #target: UsersTarget;
  readonly #plan: Stages;
  readonly #dialer = new Dialer({
    compression: false,
    heartbeat: false,
    tls: { rejectUnauthorized: false },
  });
  readonly #moments: Generator<number>;
  readonly #hasRate: boolean;
  readonly #texts = new Map<string, number>();
  #mostConnections = 0;
  #began = 0;
  #over = false;
  #stopped = false;
  /** Why the first connection of all failed. */
  #failure: unknown;

  constructor(script: Script, target: UsersTarget, plan: Stages) {
    this.#script = script;
    this.#target = target;
    this.#plan = plan;
    this.#moments = moments(plan);
    this.#hasRate = plan.stages.some(({ rate }) => rate !== undefined);
  }

  /**
   * Runs all stages.
   *
   * @throws Error when the first user cannot connect.
   */
  async run(): Promise<UsersResult> {
    const ms = durationOf(this.#plan);
    const cpu = process.cpuUsage();
    this.#began = performance.now();
    const series = new Series(ms, this.latencies, () => ({
      messages: this.messages,
      connections: this.connections,
    }));
    const active: OneUser[] = [];
    const left: Promise<void>[] = [];
    let id = 0;
    try {
      for (let at = 0; at < ms && !this.#stopped; at = performance.now() - this.#began) {
        const wanted = connectionsAt(this.#plan, at);
        for (let n = 0; active.length < wanted && n < MOST_STARTS; n++) {
          const user = new OneUser(++id, this);
          active.push(user);
          left.push(user.live(this.#script));
        }
        while (active.length > wanted) active.pop()!.leave();
        await sleep(Math.min(STEP_MS, ms - at));
        if (this.#failure !== undefined) throw this.#failure;
      }
      return this.#result(series.end(), process.cpuUsage(cpu));
    } finally {
      series.end();
      this.#over = true;
      for (const user of active) user.leave();
      await Promise.race([Promise.all(left), sleep(GRACE_MS, undefined, { ref: false })]);
    }
  }

  /** Ends the run, which has its result then. */
  stop(): void {
    this.#stopped = true;
  }

  #result(series: Interval[], { user, system }: NodeJS.CpuUsage): UsersResult {
    let missedTurns = 0;
    while (!this.#stopped && this.#moments.next().done !== true) missedTurns++;
    return {
      messages: this.messages,
      ms: performance.now() - this.#began,
      cpu: user + system,
      latency: this.latencies.percentiles(),
      series,
      errors: this.errors,
      messagesOfErrors: [...this.#texts],
      missedTurns,
      mostConnections: this.#mostConnections,
    };
  }

  message(latency: number | undefined): void {
    if (this.#over) return;
    this.messages++;
    if (latency !== undefined) this.latencies.record(latency);
  }

  get hasRate(): boolean {
    return this.#hasRate;
  }

  /** The planned moment of the next turn; undefined after the last one. */
  turn(): number | undefined {
    const { value, done } = this.#moments.next();
    return done === true ? undefined : this.#began + value;
  }

  async connect({ path, subprotocols, headers }: ConnectOptions): Promise<ClientConn> {
    const { url, headers: common } = this.#target;
    const options = { headers: { ...common, ...headers }, subprotocols };
    try {
      const conn = await this.#dialer.dial(new URL(path ?? url, url), options);
      this.#mostConnections = Math.max(this.#mostConnections, ++this.connections);
      void conn.closed.then(() => this.connections--);
      return conn;
    } catch (error) {
      if (this.#mostConnections === 0) this.#failure ??= error;
      throw error;
    }
  }

  /** Counts the error of a user, except those of the end. */
  error(error: unknown): void {
    if (this.#over) return;
    this.errors++;
    const text = error instanceof Error ? error.message : String(error);
    const known = this.#texts.get(text);
    if (known === undefined && this.#texts.size === MOST_ERRORS) return;
    this.#texts.set(text, (known ?? 0) + 1);
  }
}

/** One user. */
class OneUser implements User {
  readonly id: number;
  running = true;
  readonly #users: Users;
  readonly #leave = new AbortController();
  readonly #sockets = new Set<UserSocket>();
  /** The planned moment of a late turn whose first message is not sent yet. */
  #planned: number | undefined;

  constructor(id: number, users: Users) {
    this.id = id;
    this.#users = users;
  }

  async live(script: Script): Promise<void> {
    while (this.running) {
      try {
        await script(this);
        // A script that waits for nothing must not keep the others from running.
        await nextTurn();
      } catch (error) {
        if (this.running) this.#users.error(error);
        await this.sleep(AFTER_ERROR_MS);
      } finally {
        const sockets = [...this.#sockets];
        this.#sockets.clear();
        await Promise.allSettled(sockets.map((socket) => socket.close()));
      }
    }
  }

  async connect(options: ConnectOptions = {}): Promise<UserSocket> {
    const conn = await this.#users.connect(options);
    const socket = new UserSocket(conn, this.#users, () => {
      const planned = this.#planned ?? performance.now();
      this.#planned = undefined;
      return planned;
    });
    this.#sockets.add(socket);
    return socket;
  }

  async next(): Promise<boolean> {
    if (!this.running) return false;
    if (!this.#users.hasRate) {
      // A script that only sends must not keep the others from running.
      await nextTurn();
      return this.running;
    }
    const moment = this.#users.turn();
    const wait = moment === undefined ? FOREVER_MS : Math.ceil(moment - performance.now());
    if (wait > 0) await this.sleep(wait);
    else this.#planned = moment;
    return this.running;
  }

  async sleep(ms: number): Promise<void> {
    const { signal } = this.#leave;
    await sleep(ms, undefined, { signal }).catch(() => {});
  }

  leave(): void {
    this.running = false;
    this.#leave.abort();
    setTimeout(() => {
      for (const socket of this.#sockets) socket.terminate();
    }, LEAVE_MS).unref();
  }
}
