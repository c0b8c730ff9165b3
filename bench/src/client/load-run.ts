import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { CloseCode, type Conn, Dialer, TextMessage } from '@ws/node-client';
import { EchoClient } from './echo-client.ts';
import { dialFailure, endFailure } from './failures.ts';
import { Messages } from './messages.ts';
import { connectionsOf, type LoadPlan, type Share } from './plan.ts';
import { type Failure, Tally, type TallyRecord } from './tally.ts';

/** Number of connections that are opened at a time. */
const PARALLEL_DIALS = 64;
/** Interval of the search for overdue echoes, in ms. */
const CHECK_INTERVAL_MS = 100;
/** Time for the last echoes after an interrupt, in ms. */
const INTERRUPTED_WAIT_MS = 500;
/** Time for the close handshake of a connection, in ms. */
const CLOSE_TIMEOUT_MS = 2000;
/**
 * Waits below this many ms poll instead of using a timer, which has a resolution of a millisecond.
 */
const SPIN_BELOW_MS = 2;
/** Time after the end in which due messages may still be sent, in ms. */
const CATCH_UP_MS = 500;
/** Number of due messages that are sent before the process reads again. */
const BURST = 64;

/** The progress of a load. */
export interface LoadProgress {
  readonly echoed: number;
  readonly errors: number;
  readonly open: number;
}

/** Number of open connections, and the failures of the others. */
export interface Opened {
  readonly open: number;
  readonly failures: Readonly<Record<string, Failure>>;
  /** The error of an invalid URL or header. Then no server was contacted. */
  readonly refused?: string;
}

/** The result of one process of a load. */
export interface ShareResult {
  readonly tally: TallyRecord;
  /** Each extension header that a server answered, once. */
  readonly extensions: readonly string[];
  /** Number of connections at the start. */
  readonly opened: number;
  /** Number of messages in flight at an interrupt. */
  readonly abandoned: number;
  /** Time until the last message was sent. Echoes may come later. */
  readonly ms: number;
  /** Share of this time that the process used CPU, 0 to 1. */
  readonly busy: number;
}

/** The part of a load in one process: opens, drives and closes its connections. */
export class LoadRun {
  readonly #share: Share;
  readonly #plan: LoadPlan;
  readonly #tally = new Tally();
  readonly #conns = new Map<Conn, EchoClient>();
  readonly #clients: EchoClient[] = [];
  /** Client for each place of the rate's plan; undefined where no connection was opened. */
  readonly #places: (EchoClient | undefined)[];
  readonly #extensions = new Set<string>();
  readonly #dialer: Dialer;
  readonly #messages: Messages;
  readonly #opening = new AbortController();
  #startedAt = 0;
  #closing = false;
  #interrupted = false;

  /** @throws TypeError, RangeError or SyntaxError for options that Dialer rejects. */
  constructor(share: Share) {
    const { plan } = share;
    this.#share = share;
    this.#plan = plan;
    this.#places = Array.from({ length: connectionsOf(share) });
    setMaxListeners(PARALLEL_DIALS + 1, this.#opening.signal);
    this.#messages = new Messages(plan.payload, plan.text, plan.compression);
    this.#dialer = new Dialer({
      handshakeTimeout: plan.timeoutMs,
      compression: plan.compression,
      subprotocols: plan.subprotocols,
      tls: { rejectUnauthorized: !plan.insecure },
      // A message that is too long counts as an error instead of ending the connection. `depth`
      // bounds the messages in flight.
      readLimit: Math.max(2 ** 24, 2 * plan.payload),
      maxBufferedAmount: false,
      idleReadTimeout: false,
    });
  }

  /**
   * Opens the connections.
   *
   * @returns Number of open connections, and the failures, which the result contains too.
   * @throws TypeError or SyntaxError for an invalid URL or header. Then nothing was sent.
   */
  async open(): Promise<Opened> {
    const count = this.#places.length;
    for (let i = 0; i < count && !this.#interrupted; i += PARALLEL_DIALS) {
      const some = Math.min(PARALLEL_DIALS, count - i);
      await Promise.all(Array.from({ length: some }, (_, k) => this.#dial(i + k)));
      // When every dial of the first group fails, the others would fail too.
      if (this.#conns.size === 0) break;
    }
    return { open: this.#conns.size, failures: Object.fromEntries(this.#tally.failures) };
  }

  async #dial(i: number): Promise<void> {
    const { url, headers } = this.#plan;
    let conn: Conn;
    try {
      conn = await this.#dialer.dial(url, { headers, signal: this.#opening.signal });
    } catch (error) {
      if (this.#interrupted) return;
      if (error instanceof TypeError || error instanceof SyntaxError) throw error;
      const { kind, example } = dialFailure(error);
      this.#tally.fail(kind, example);
      return;
    }
    const client = new EchoClient(conn, this.#share.index + i * this.#share.of, {
      messages: this.#messages,
      tally: this.#tally,
      depth: this.#plan.depth,
      now: () => performance.now() - this.#startedAt,
    });
    this.#conns.set(conn, client);
    this.#clients.push(client);
    this.#places[i] = client;
    this.#extensions.add(conn.extensions);
    const received = conn.receive((message) => {
      client.echo(message.data, message.type === TextMessage);
    });
    received.then(
      ({ code, reason }) => this.#ended(conn, { kind: `close: ${code}`, example: reason }),
      (error: unknown) => this.#ended(conn, endFailure(error)),
    );
  }

  #ended(conn: Conn, { kind, example }: { kind: string; example: string }): void {
    const client = this.#conns.get(conn);
    this.#conns.delete(conn);
    if (client === undefined || this.#closing) return;
    this.#tally.fail(kind, example === '' ? 'no reason given' : example);
    client.end();
  }

  /** Drives the connections for the planned time, then waits for the last echoes. */
  async run(): Promise<ShareResult> {
    const { durationMs, timeoutMs, rate } = this.#plan;
    const cpu = process.cpuUsage();
    this.#startedAt = performance.now();
    if (rate === undefined) for (const client of this.#clients) client.loop();
    const pacing = rate === undefined ? undefined : this.#pace(rate);
    await this.#until(durationMs, () => this.#interrupted);
    const ms = this.#elapsed;
    this.#tally.stop();
    await pacing;
    const { user, system } = process.cpuUsage(cpu);
    for (const client of this.#clients) client.stop();
    const interrupted = this.#interrupted;
    const idle = (): boolean =>
      this.#interrupted !== interrupted || this.#clients.every((client) => client.idle);
    await this.#until(ms + (interrupted ? INTERRUPTED_WAIT_MS : timeoutMs), idle);
    const abandoned = this.#settle();
    await this.#close();
    return {
      tally: this.#tally.record(),
      extensions: [...this.#extensions],
      opened: this.#clients.length,
      abandoned,
      ms,
      busy: (user + system) / 1000 / ms,
    };
  }

  /** Ends the run early. The counts until then are the result. */
  stop(): void {
    this.#interrupted = true;
    this.#opening.abort(new Error('interrupted'));
  }

  get progress(): LoadProgress {
    const { echoed, errors } = this.#tally;
    return { echoed, errors, open: this.#conns.size };
  }

  get #elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * Gives up overdue messages until `moment`, until `done` returns true, or until no connection is
   * left.
   */
  async #until(moment: number, done: () => boolean): Promise<void> {
    while (!done() && this.#conns.size > 0) {
      const left = moment - this.#elapsed;
      if (left <= 0) return;
      for (const client of this.#conns.values()) {
        client.giveUp(this.#elapsed - this.#plan.timeoutMs);
      }
      await sleep(Math.min(CHECK_INTERVAL_MS, left));
    }
  }

  /** Sends each message at its planned moment, or as soon after it as possible. */
  async #pace(rate: number): Promise<void> {
    const { connections, durationMs } = this.#plan;
    const { index, of } = this.#share;
    const places = this.#places;
    // Message `i` of the whole load is due at `i / rate` on connection `i % connections`. This
    // process has every `of`-th connection.
    const momentOf = (i: number): number => {
      const lap = Math.floor(i / places.length);
      const place = index + (i % places.length) * of;
      return (1000 * (lap * connections + place)) / rate;
    };
    const maySpin = availableParallelism() > of;
    let giveUp = Number.POSITIVE_INFINITY;
    let i = 0;
    while (this.#conns.size > 0 && !this.#interrupted) {
      const moment = momentOf(i);
      if (moment >= durationMs) return;
      // Messages that were due before the end are still sent, for a limited time: an overloaded
      // load would never catch up.
      if (this.#elapsed >= durationMs) giveUp = Math.min(giveUp, this.#elapsed + CATCH_UP_MS);
      if (this.#elapsed > giveUp) return;
      const wait = moment - this.#elapsed;
      if (wait <= 0) {
        const client = places[i % places.length];
        if (client === undefined) this.#tally.skipped++;
        else client.plan(moment);
        // A load that is behind must read too.
        if (++i % BURST === 0) await nextTurn();
      } else if (maySpin && wait < SPIN_BELOW_MS) {
        await nextTurn();
      } else {
        await sleep(Math.min(CHECK_INTERVAL_MS, maySpin ? wait - SPIN_BELOW_MS / 2 : wait));
      }
    }
    // No connection is left here, while other processes may continue.
    if (!this.#interrupted) this.#tally.skipped += Math.max(0, this.#planned(rate) - i);
  }

  /** Number of messages that this process plans at that rate. */
  #planned(rate: number): number {
    const { connections, durationMs } = this.#plan;
    const { index, of } = this.#share;
    const all = (rate * durationMs) / 1000;
    return this.#places.reduce(
      (sum, _, i) => sum + Math.max(0, Math.ceil((all - index - i * of) / connections)),
      0,
    );
  }

  /**
   * Ends every client.
   *
   * @returns Number of messages in flight after an interrupt.
   */
  #settle(): number {
    let abandoned = 0;
    for (const client of this.#clients) {
      if (this.#interrupted) abandoned += client.abandon();
      else client.giveUp(Number.POSITIVE_INFINITY);
    }
    return abandoned;
  }

  /**
   * A pong arrives after everything that the server sent before it. This detects surplus echoes.
   */
  async #close(): Promise<void> {
    const conns = [...this.#conns.keys()];
    if (!this.#interrupted) {
      await Promise.all(
        conns.map((conn) => conn.ping(undefined, { timeout: CLOSE_TIMEOUT_MS }).catch(() => {})),
      );
    }
    this.#closing = true;
    await Promise.all(
      conns.map((conn) =>
        conn.close(CloseCode.NormalClosure, '', { timeout: CLOSE_TIMEOUT_MS }).catch(() => {}),
      ),
    );
  }
}
