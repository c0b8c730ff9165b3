import type { Connection } from './connection.ts';

/**
 * The part of what was unsent at our close frame that a slow peer has to take in each `closeTimeout`.
 */
const LEAST_PROGRESS = 0.1;
/** Most times `closeTimeout` from our close frame on. */
const LONGEST = 10;

/** A peer that reads slowly when we close. It gets the accepted messages while it takes them. */
export class SlowPeer {
  readonly #connection: Connection;
  /** When we closed, and the bytes that were sent then. Together they give the speed of the peer. */
  readonly #since: number;
  readonly #flushedAtClose: number;
  /** Bytes that the peer has to take until the deadline. */
  readonly #least: number;
  /** Bytes that were sent, and that were unsent, when the deadline was set. */
  #flushed: number;
  #unsent: number;
  /** When the transport has drained last since then, in ms of the platform's clock. */
  #drainedAt: number | undefined;

  private constructor(connection: Connection) {
    const { bytesFlushed, bufferedAmount } = connection.outbox.sender;
    this.#connection = connection;
    this.#since = connection.platform.now();
    this.#flushedAtClose = this.#flushed = bytesFlushed;
    this.#unsent = bufferedAmount;
    this.#least = Math.ceil(bufferedAmount * LEAST_PROGRESS);
  }

  /** The peer of `connection`, if its writes wait. */
  static of(connection: Connection): SlowPeer | undefined {
    const { machine, settings, outbox } = connection;
    const { sender } = outbox;
    let peer: SlowPeer | undefined;
    connection.guardTransport(() => {
      const isSlow = machine.blocked || sender.bufferedAmount >= settings.highWaterMark;
      if (isSlow) peer = new SlowPeer(connection);
    });
    return peer;
  }

  /** The transport has drained. */
  drained(): void {
    this.#drainedAt = this.#connection.platform.now();
  }

  /** The deadline has come. Returns the time in ms until the next one; 0 gives up the peer. */
  extend(closeTimeout: number): number {
    const { outbox, platform } = this.#connection;
    const { bytesFlushed, bufferedAmount } = outbox.sender;
    const taken = bytesFlushed - this.#flushed;
    if (this.#unsent === 0 || taken < Math.min(this.#least, this.#unsent)) return 0;
    const now = platform.now();
    let until = (this.#drainedAt ?? now) + closeTimeout;
    if (bufferedAmount === 0) until += this.#transitTime(now);
    this.#flushed = bytesFlushed;
    this.#unsent = bufferedAmount;
    this.#drainedAt = undefined;
    return Math.max(0, Math.min(until, this.#since + LONGEST * closeTimeout) - now);
  }

  /** Time in ms that the peer needs for the bytes that the operating systems may hold. */
  #transitTime(now: number): number {
    const bytes = this.#connection.outbox.sender.bytesFlushed - this.#flushedAtClose;
    return ((now - this.#since) * (this.#connection.transport.inTransit ?? 0)) / bytes;
  }
}
