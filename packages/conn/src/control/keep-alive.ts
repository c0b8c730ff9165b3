import type { Heartbeat as HeartbeatOption } from '../options.ts';
import type { TimerEntry, Timers } from '../time/timers.ts';

/**
 * A connection that {@link KeepAlive} watches. While the connection is open, its alarm drives the
 * heartbeat.
 */
export interface KeepAliveTarget extends TimerEntry {
  /**
   * When the last bytes arrived, in whole ms of the platform's clock: a fraction would be a heap
   * object.
   */
  heardAt: number;
  /** When the peer was pinged, if no bytes have arrived since. */
  pingedAt: number | undefined;
  /** Whether we paused the transport: silence says nothing about the peer then. */
  readonly paused: boolean;
  /** Sends a ping. */
  sendHeartbeat(): void;
  /** The peer was silent for `ms`, a whole number. */
  expired(ms: number): void;
}

/**
 * The heartbeat (RFC 6455, section 5.5.2): pings silent peers and reports those that do not answer.
 * One object serves all connections of a kind. A chunk costs one store, to {@link
 * KeepAliveTarget.heardAt}.
 */
export class KeepAlive {
  readonly #timers: Timers;
  readonly #option: HeartbeatOption;

  constructor(timers: Timers, option: HeartbeatOption) {
    this.#timers = timers;
    this.#option = option;
  }

  start(target: KeepAliveTarget): void {
    this.#timers.set(target, this.#option.interval);
  }

  /** The alarm of `target` has fired, at `now` in ms. */
  fire(target: KeepAliveTarget, now: number): void {
    const { interval, timeout } = this.#option;
    // A paused socket reports neither bytes nor FIN nor RST. A ping still shows a reset.
    if (target.paused) target.heardAt = Math.ceil(now);
    const silence = now - target.heardAt;
    let { pingedAt } = target;
    if (pingedAt !== undefined && target.heardAt >= pingedAt) pingedAt = undefined;
    if (pingedAt !== undefined && now >= pingedAt + timeout)
      return target.expired(Math.round(silence));
    let next = interval - silence;
    if (next <= 0 || target.paused) {
      if (pingedAt === undefined) target.sendHeartbeat();
      pingedAt ??= now;
      // Check again after one interval even if `timeout` is longer, so that silence after the pong
      // counts from there.
      next = target.paused ? interval : Math.min(interval, pingedAt + timeout - now);
    }
    target.pingedAt = pingedAt;
    this.#timers.set(target, next);
  }
}
