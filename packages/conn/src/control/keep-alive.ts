import type { Heartbeat as HeartbeatOption } from '../options.ts';
import type { TimerEntry, Timers } from '../time/timers.ts';

/**
 * Why the timeout of a ping has not started, or is longer. Created only for a ping that waits, so
 * that an idle connection has none.
 */
export interface PingWait {
  /** The ping is not sent yet: a compressed message of several frames is open. */
  readonly held: boolean;
  /** Bytes that were accepted before the ping. */
  readonly ahead: number;
  /** {@link KeepAliveTarget.bytesFlushed} when it last grew, and the time of that. */
  flushed: number;
  progressAt: number;
  /** The same two when the wait began. Together they give the speed of the peer. */
  readonly firstFlushed: number;
  readonly since: number;
  /** Set once the ping has left this process: the {@link transitTime} that the timeout adds. */
  transit?: number;
}

/** Time in ms that the peer needs for `inTransit` bytes at its speed so far; 0 without progress. */
function transitTime(
  { flushed, progressAt, firstFlushed, since }: PingWait,
  inTransit: number,
): number {
  const bytes = flushed - firstFlushed;
  return bytes === 0 ? 0 : Math.ceil(((progressAt - since) * inTransit) / bytes);
}

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
  pingWait: PingWait | undefined;
  /** Whether we paused the transport: silence says nothing about the peer then. */
  readonly paused: boolean;
  /** Bytes of all accepted frames. */
  readonly bytesOut: number;
  /** Bytes of {@link bytesOut} that the operating system has taken. */
  readonly bytesFlushed: number;
  /** Most bytes on the way to the peer that the operating systems hold and do not report. */
  readonly inTransit: number;
  /**
   * Time in ms at which the transport was blocked, if it has sent nothing since. Otherwise `now`.
   */
  stalledSince(now: number): number;
  /**
   * Whether a compressed message of several frames is open. Some peers forget at a ping that the
   * message is compressed, and then lose data.
   */
  readonly holdsHeartbeat: boolean;
  /** Sends a ping. */
  sendHeartbeat(): void;
  /** The peer was silent for `ms`, a whole number. */
  expired(ms: number, option: HeartbeatOption): void;
}

/**
 * The heartbeat (RFC 6455, section 5.5.2): pings silent peers and reports those that do not answer.
 * One object serves all connections of a kind. A chunk costs one store, to {@link
 * KeepAliveTarget.heardAt}.
 *
 * A peer can answer a ping only after it has read our older bytes. While such bytes wait in this
 * process, the timeout of the ping has not started. The connection then lives as long as some of
 * them leave within `interval + timeout`, or within the time in which the peer has read as many
 * bytes as the operating systems may hold, and as long as the peer itself sends.
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
    const { interval } = this.#option;
    // A paused socket reports neither bytes nor FIN nor RST. A ping still shows a reset.
    if (target.paused) target.heardAt = Math.ceil(now);
    const silence = now - target.heardAt;
    const { pingedAt } = target;
    if (pingedAt === undefined || target.heardAt >= pingedAt) {
      target.pingedAt = undefined;
      target.pingWait = undefined;
      if (silence < interval && !target.paused) {
        this.#timers.set(target, interval - silence);
        return;
      }
      this.#ping(target, now);
    } else this.#updateWait(target, now);
    const due = this.#dueAt(target);
    if (now >= due) return target.expired(Math.round(silence), this.#option);
    // Check again after one interval even if `timeout` is longer, so that silence after the pong
    // counts from there.
    this.#timers.set(target, target.paused ? interval : Math.min(interval, due - now));
  }

  /** The compressed message of several frames has ended: a held ping is sent. */
  release(target: KeepAliveTarget, now: number): void {
    const { pingedAt, pingWait } = target;
    if (pingWait?.held !== true) return;
    if (target.heardAt < pingedAt!) this.#send(target, now);
    else target.pingWait = undefined;
  }

  #ping(target: KeepAliveTarget, now: number): void {
    if (!target.holdsHeartbeat) return this.#send(target, now);
    target.pingedAt = now;
    target.pingWait = {
      held: true,
      ahead: 0,
      flushed: 0,
      progressAt: now,
      firstFlushed: 0,
      since: now,
    };
  }

  #send(target: KeepAliveTarget, now: number): void {
    const { bytesOut, bytesFlushed } = target;
    target.pingedAt = now;
    target.pingWait = undefined;
    if (bytesFlushed < bytesOut) {
      target.pingWait = {
        held: false,
        ahead: bytesOut,
        flushed: bytesFlushed,
        progressAt: target.stalledSince(now),
        firstFlushed: bytesFlushed,
        since: now,
      };
    }
    target.sendHeartbeat();
  }

  #updateWait(target: KeepAliveTarget, now: number): void {
    const { pingWait, bytesFlushed } = target;
    if (pingWait === undefined || pingWait.transit !== undefined) return;
    if (pingWait.held) {
      // A held ping waits for at most its timeout.
      if (now >= this.#dueAt(target)) this.#send(target, now);
    } else if (bytesFlushed > pingWait.flushed) {
      pingWait.flushed = bytesFlushed;
      pingWait.progressAt = now;
      if (bytesFlushed >= pingWait.ahead) {
        target.pingedAt = now;
        pingWait.transit = transitTime(pingWait, target.inTransit);
      }
    }
  }

  /** When a connection that was pinged expires, or its held ping is sent. */
  #dueAt({ pingedAt, pingWait, inTransit, paused }: KeepAliveTarget): number {
    const { interval, timeout } = this.#option;
    if (pingWait === undefined || pingWait.held) return pingedAt! + timeout;
    if (pingWait.transit !== undefined) return pingedAt! + pingWait.transit + timeout;
    const patience = Math.max(interval + timeout, transitTime(pingWait, inTransit));
    const stalled = pingWait.progressAt + patience;
    // A peer that reads nothing may still send, for example its own pings. This end does not see
    // them while it is paused.
    return paused ? stalled : Math.max(stalled, pingedAt! + timeout);
  }
}
