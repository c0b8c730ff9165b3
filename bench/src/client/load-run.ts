import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { type Conn, Dialer, TextMessage } from '@ws/node-client';
import { EchoClient } from './echo-client.ts';
import { dialTrouble, endTrouble } from './failures.ts';
import { Messages } from './messages.ts';
import { connectionsOf, type LoadPlan, type Share } from './plan.ts';
import { type Failure, Tally, type TallyRecord } from './tally.ts';

/** Connections that are opened at a time. */
const OPENING = 64;
/** How often what takes too long is looked for, in ms. */
const LOOK = 100;
/** How long the last echoes may take when somebody has lost patience, in ms. */
const HURRY = 500;
/** How long a connection may take to end, in ms. */
const FAREWELL = 2000;
/** A message that is due so soon is waited for without a timer, whose turns are a millisecond long. */
const SOON = 2;
/** How long what was due may leave after the end, in ms. */
const CATCH_UP = 500;
/** So many messages that are due leave before anything is read. */
const BURST = 64;

/** How far a load is. */
export interface Standing {
  readonly echoed: number;
  readonly errors: number;
  readonly open: number;
}

/** How many connections there are, and why not more. */
export interface Opened {
  readonly open: number;
  readonly failures: Readonly<Record<string, Failure>>;
  /** What is wrong with the URL or a header, when nobody was asked at all. */
  readonly refused?: string;
}

/** What a load's part came to. */
export interface ShareResult {
  readonly tally: TallyRecord;
  /** What the servers agreed to: each extension header once. */
  readonly extensions: readonly string[];
  /** Connections that there were to begin with. */
  readonly opened: number;
  /** Messages that were under way when it was interrupted. */
  readonly abandoned: number;
  /** Until nothing was sent any more; echoes came for longer. */
  readonly ms: number;
  /** How much of the time this process was busy, 0 to 1. */
  readonly busy: number;
}

/** One process's part of a load: its connections, opened, driven, and closed. */
export class LoadRun {
  readonly #share: Share;
  readonly #plan: LoadPlan;
  readonly #tally = new Tally();
  readonly #conns = new Map<Conn, EchoClient>();
  readonly #clients: EchoClient[] = [];
  /** Which of them sends what is due in which place; empty where no connection was opened. */
  readonly #places: (EchoClient | undefined)[];
  readonly #extensions = new Set<string>();
  readonly #dialer: Dialer;
  readonly #messages: Messages;
  readonly #opening = new AbortController();
  #began = 0;
  #over = false;
  #interrupted = false;

  /** @throws TypeError, RangeError or SyntaxError for a plan that no Dialer takes. */
  constructor(share: Share) {
    const { plan } = share;
    this.#share = share;
    this.#plan = plan;
    this.#places = Array.from({ length: connectionsOf(share) });
    setMaxListeners(OPENING + 1, this.#opening.signal);
    this.#messages = new Messages(plan.payload, plan.text, plan.compression);
    this.#dialer = new Dialer({
      handshakeTimeout: plan.timeoutMs,
      compression: plan.compression,
      subprotocols: plan.subprotocols,
      tls: { rejectUnauthorized: !plan.insecure },
      // A server that sends too much is counted, not refused; what is in flight is bounded by the depth.
      readLimit: Math.max(2 ** 24, 2 * plan.payload),
      maxBufferedAmount: false,
      idleReadTimeout: false,
    });
  }

  /**
   * Opens its connections.
   *
   * @returns How many there are, and what went wrong with others, which is counted in the result as well.
   * @throws What is wrong with the URL or a header; nothing was sent then.
   */
  async open(): Promise<Opened> {
    const count = this.#places.length;
    for (let i = 0; i < count && !this.#interrupted; i += OPENING) {
      const some = Math.min(OPENING, count - i);
      await Promise.all(Array.from({ length: some }, (_, k) => this.#dial(i + k)));
      // Nobody is there, or nobody wants us: the others need not ask.
      if (this.#conns.size === 0) break;
    }
    return { open: this.#conns.size, failures: Object.fromEntries(this.#tally.failures) };
  }

  async #dial(i: number): Promise<void> {
    const { url, headers } = this.#plan;
    let conn: Conn;
    try {
      ({ conn } = await this.#dialer.dial(url, { headers, signal: this.#opening.signal }));
    } catch (error) {
      if (this.#interrupted) return;
      if (error instanceof TypeError || error instanceof SyntaxError) throw error;
      const { kind, example } = dialTrouble(error);
      this.#tally.fail(kind, example);
      return;
    }
    const client = new EchoClient(conn, this.#share.index + i * this.#share.of, {
      messages: this.#messages,
      tally: this.#tally,
      depth: this.#plan.depth,
      now: () => performance.now() - this.#began,
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
      (error: unknown) => this.#ended(conn, endTrouble(error)),
    );
  }

  #ended(conn: Conn, { kind, example }: { kind: string; example: string }): void {
    const client = this.#conns.get(conn);
    this.#conns.delete(conn);
    if (client === undefined || this.#over) return;
    this.#tally.fail(kind, example === '' ? 'no reason given' : example);
    client.end();
  }

  /** Drives them for as long as planned, and waits for the last echoes. */
  async run(): Promise<ShareResult> {
    const { durationMs, timeoutMs, rate } = this.#plan;
    const cpu = process.cpuUsage();
    this.#began = performance.now();
    if (rate === undefined) for (const client of this.#clients) client.loop();
    const pacing = rate === undefined ? undefined : this.#pace(rate);
    await this.#until(durationMs, () => this.#interrupted);
    const ms = this.#elapsed;
    this.#tally.stop();
    await pacing;
    const { user, system } = process.cpuUsage(cpu);
    for (const client of this.#clients) client.stop();
    const hurried = this.#interrupted;
    const idle = (): boolean =>
      this.#interrupted !== hurried || this.#clients.every((client) => client.idle);
    await this.#until(ms + (hurried ? HURRY : timeoutMs), idle);
    const abandoned = this.#settle();
    await this.#leave();
    return {
      tally: this.#tally.record(),
      extensions: [...this.#extensions],
      opened: this.#clients.length,
      abandoned,
      ms,
      busy: (user + system) / 1000 / ms,
    };
  }

  /** Ends it early: what was found until then counts. */
  stop(): void {
    this.#interrupted = true;
    this.#opening.abort(new Error('interrupted'));
  }

  get standing(): Standing {
    const { echoed, errors } = this.#tally;
    return { echoed, errors, open: this.#conns.size };
  }

  get #elapsed(): number {
    return performance.now() - this.#began;
  }

  /** Looks for what takes too long, until that moment, or until it is done, or nobody is left. */
  async #until(moment: number, done: () => boolean): Promise<void> {
    while (!done() && this.#conns.size > 0) {
      const left = moment - this.#elapsed;
      if (left <= 0) return;
      for (const client of this.#conns.values()) {
        client.giveUp(this.#elapsed - this.#plan.timeoutMs);
      }
      await sleep(Math.min(LOOK, left));
    }
  }

  /** Tells the clients in turn that a message is due, each at its planned moment or as soon after it as can be. */
  async #pace(rate: number): Promise<void> {
    const { connections, durationMs } = this.#plan;
    const { index, of } = this.#share;
    const places = this.#places;
    // Message `i` of the whole load is due at `i / rate`, on connection `i % connections`: ours are every `of`-th.
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
      // What was due before the end still leaves, unless there is so much of it that the load cannot do it at all.
      if (this.#elapsed >= durationMs) giveUp = Math.min(giveUp, this.#elapsed + CATCH_UP);
      if (this.#elapsed > giveUp) return;
      const wait = moment - this.#elapsed;
      if (wait <= 0) {
        const client = places[i % places.length];
        if (client === undefined) this.#tally.unmanned++;
        else client.plan(moment);
        // Who is behind must read as well.
        if (++i % BURST === 0) await turn();
      } else if (maySpin && wait < SOON) {
        await turn();
      } else {
        await sleep(Math.min(LOOK, maySpin ? wait - SOON / 2 : wait));
      }
    }
    // Nobody is left, while other processes may go on.
    if (!this.#interrupted) this.#tally.unmanned += Math.max(0, this.#planned(rate) - i);
  }

  /** How many messages were to become due here, at that rate. */
  #planned(rate: number): number {
    const { connections, durationMs } = this.#plan;
    const { index, of } = this.#share;
    const all = (rate * durationMs) / 1000;
    return this.#places.reduce(
      (sum, _, i) => sum + Math.max(0, Math.ceil((all - index - i * of) / connections)),
      0,
    );
  }

  /** Nothing more is waited for. Gives how many messages were under way. */
  #settle(): number {
    let abandoned = 0;
    for (const client of this.#clients) {
      if (this.#interrupted) abandoned += client.abandon();
      else client.giveUp(Number.POSITIVE_INFINITY);
    }
    return abandoned;
  }

  /** A pong comes after all that the server had sent before: echoes too many are found this way. */
  async #leave(): Promise<void> {
    const conns = [...this.#conns.keys()];
    if (!this.#interrupted) {
      await Promise.all(
        conns.map((conn) => conn.ping(undefined, { timeout: FAREWELL }).catch(() => {})),
      );
    }
    this.#over = true;
    await Promise.all(
      conns.map((conn) => conn.close(1000, '', { timeout: FAREWELL }).catch(() => {})),
    );
  }
}
