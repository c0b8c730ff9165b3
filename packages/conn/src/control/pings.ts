import { BackpressureError, TimeoutError } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { Deferred, rejected } from '../time/promises.ts';
import { MAX_PENDING_PINGS } from '../writing/drain-waits.ts';

/** A call of `ping`, until its pong. */
class Ping implements TimerEntry {
  slot: number | undefined;
  readonly payload: Uint8Array;
  readonly sentAt: number;
  readonly answer: Deferred<number>;
  readonly #pings: Pings;
  readonly #timeout: number;

  constructor(pings: Pings, payload: Uint8Array, sentAt: number, timeout: number) {
    this.#pings = pings;
    this.payload = payload;
    this.sentAt = sentAt;
    this.#timeout = timeout;
    this.answer = new Deferred<number>();
  }

  fire(): void {
    this.#pings.reject(
      this,
      new TimeoutError(`no pong within ${this.#timeout} ms (option timeout of ping)`),
    );
  }
}

/** The unanswered pings of a connection. */
export class Pings {
  /** Time of the last round trip, in ms; NaN before the first. */
  rtt: number = NaN;
  readonly #platform: Platform;
  readonly #refuse: (error: BackpressureError) => Promise<never>;
  /** Pings of the user, oldest first, at most {@link MAX_PENDING_PINGS}. */
  readonly #pending: Ping[] = [];
  /** Number of payloads that {@link nextPayload} has created. */
  #count = 0;
  /** The unanswered ping of the heartbeat. */
  #heartbeat: { readonly payload: Uint8Array; readonly sentAt: number } | undefined;
  /** Set when no pong can arrive any more, with the error for further pings. */
  #ended: { readonly reason: unknown } | undefined;

  /** @param refuse - Returns the promise of a ping above the bound. */
  constructor(platform: Platform, refuse: (error: BackpressureError) => Promise<never>) {
    this.#platform = platform;
    this.#refuse = refuse;
  }

  /** Whether a call of `ping` waits for its pong. */
  get awaited(): boolean {
    return this.#pending.length > 0;
  }

  /** Returns a payload that is unique on this connection. */
  nextPayload(): Uint8Array {
    const n = ++this.#count;
    return Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
  }

  /** Returns the payload for a ping of the heartbeat: the same payload until a pong has answered. */
  heartbeatPayload(): Uint8Array {
    this.#heartbeat ??= { payload: this.nextPayload(), sentAt: this.#platform.now() };
    return this.#heartbeat.payload;
  }

  /** Sends a ping with `send`. Resolves with the round trip in ms. */
  add(
    payload: Uint8Array,
    timeout: number,
    send: (payload: Uint8Array) => Promise<void>,
  ): Promise<number> {
    if (this.#ended !== undefined) return rejected(this.#ended.reason);
    if (this.#pending.length >= MAX_PENDING_PINGS) {
      const text = `${MAX_PENDING_PINGS} pings are unanswered`;
      return this.#refuse(new BackpressureError(text));
    }
    const ping = new Ping(this, payload, this.#platform.now(), timeout);
    this.#pending.push(ping);
    if (timeout !== Infinity) schedulerOf(this.#platform).timers.set(ping, timeout);
    send(payload).catch((error: unknown) => this.reject(ping, error));
    return ping.answer.promise;
  }

  /** Rejects the ping whose promise is `answer`. Returns false when the promise has settled. */
  giveUp(answer: Promise<number>, reason: unknown): boolean {
    const ping = this.#pending.find((pending) => pending.answer.promise === answer);
    if (ping !== undefined) this.reject(ping, reason);
    return ping !== undefined;
  }

  reject(ping: Ping, reason: unknown): void {
    const at = this.#pending.indexOf(ping);
    if (at < 0) return;
    this.#pending.splice(at, 1);
    schedulerOf(this.#platform).timers.clear(ping);
    ping.answer.reject(reason);
  }

  /** A pong has arrived. It answers its ping and all older pings (RFC 6455, section 5.5.3). */
  pong(bytes: Uint8Array, start: number, end: number): void {
    const heartbeat = this.#heartbeat;
    if (heartbeat !== undefined && equal(heartbeat.payload, bytes, start, end)) {
      this.#heartbeat = undefined;
      const firstYounger = this.#pending.findIndex((ping) => ping.sentAt >= heartbeat.sentAt);
      this.#resolve(firstYounger < 0 ? this.#pending.length : firstYounger);
      this.rtt = this.#platform.now() - heartbeat.sentAt;
      return;
    }
    this.#resolve(this.#pending.findIndex((ping) => equal(ping.payload, bytes, start, end)) + 1);
  }

  /** Resolves the oldest `count` pings. */
  #resolve(count: number): void {
    const now = this.#platform.now();
    for (const ping of this.#pending.splice(0, count)) {
      schedulerOf(this.#platform).timers.clear(ping);
      this.rtt = now - ping.sentAt;
      ping.answer.resolve(this.rtt);
    }
  }

  /** Called when no pong can arrive any more. Rejects all pings, and all later pings, with `error`. */
  rejectAll(error: unknown): void {
    this.#ended ??= { reason: error };
    for (const ping of this.#pending.splice(0)) {
      schedulerOf(this.#platform).timers.clear(ping);
      ping.answer.reject(error);
    }
  }
}

function equal(payload: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (payload.length !== end - start) return false;
  for (let i = 0; i < payload.length; i++) if (payload[i] !== bytes[start + i]) return false;
  return true;
}
