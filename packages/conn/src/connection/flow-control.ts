import { TimeoutError, type TransportError, transportFailed } from '../errors.ts';
import type { Observer } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../time/timers.ts';
import type { Transport } from '../transport.ts';

/** The connection of a {@link FlowControl}. */
export interface FlowControlOwner {
  readonly transport: Transport;
  readonly shared: { readonly timers: Timers };
  readonly settings: { readonly idleReadTimeout: number };
  readonly platform: Platform;
  readonly conn: object;
  /** Bytes that were written and that the operating system has not taken. */
  readonly bufferedAmount: number;
  /**
   * Whether `receive` or `discardReads` is pending. No timeout runs then: a handler has no time
   * limit.
   */
  readonly receiving: boolean;
  /** Whether the connection has begun to end. */
  readonly ending: boolean;
  /** Since when the transport takes no bytes; `now` when it does. */
  stalledSince(now: number): number;
  observe(event: (observer: Observer) => unknown): void;
  abort(error: TimeoutError | TransportError): void;
  /** Runs `use`. An error of a property of the transport ends this connection only. */
  guardTransport(use: () => void): void;
  /** Aborts when `result` of a transport's method is a promise that rejects. */
  watchTransport(method: 'pause' | 'resume', result: unknown): void;
}

/** Time in ms without a read and without a written byte after which an observer is informed. */
const BLOCKED_AFTER = 5_000;

/** Informs the observer of a connection that neither reads nor can write. */
class BlockedCheck implements TimerEntry {
  slot: number | undefined;
  readonly #owner: FlowControlOwner;

  constructor(owner: FlowControlOwner) {
    this.#owner = owner;
  }

  start(): void {
    this.#owner.shared.timers.set(this, BLOCKED_AFTER);
  }

  fire(): void {
    this.#owner.guardTransport(() => this.#check());
  }

  #check(): void {
    const owner = this.#owner;
    const now = owner.platform.now();
    const ms = Math.round(now - owner.stalledSince(now));
    const { bufferedAmount } = owner;
    if (bufferedAmount === 0 || ms < BLOCKED_AFTER) return this.start();
    owner.observe((observer) => observer.blocked?.(owner.conn, bufferedAmount, ms));
  }
}

/**
 * Pauses and resumes the transport of one connection. While the transport is paused and no
 * `receive` is pending, a timer of `idleReadTimeout` runs. The first pause creates this object.
 */
export class FlowControl implements TimerEntry {
  slot: number | undefined;
  paused = false;
  /** A read has begun. The timeout is renewed once a turn, for all reads of that turn. */
  renewalDue = false;
  readonly #owner: FlowControlOwner;
  /** Present while the transport is paused and a program observes blocked connections. */
  #blockedCheck: BlockedCheck | undefined;

  constructor(owner: FlowControlOwner) {
    this.#owner = owner;
  }

  pause(): void {
    this.paused = true;
    this.#call('pause');
    // The timeout also runs while a message is inflated for a reader, since the reader may give up.
    // Each step of inflating restarts it.
    if (!this.#owner.receiving) this.#startTimeout();
    if (this.#owner.platform.observer?.blocked !== undefined) this.#checkLater();
  }

  #checkLater(): void {
    this.#blockedCheck = new BlockedCheck(this.#owner);
    this.#blockedCheck.start();
  }

  resume(): void {
    this.stop();
    this.paused = false;
    this.#call('resume');
  }

  /**
   * An error of the transport ends this connection only. The other connections of the turn still
   * run.
   */
  #call(method: 'pause' | 'resume'): void {
    try {
      const result: unknown = this.#owner.transport[method]();
      this.#owner.watchTransport(method, result);
    } catch (cause) {
      this.#owner.abort(transportFailed(method, cause));
    }
  }

  /** Restarts the timeout, because a read has begun. */
  renewTimeout(): void {
    this.renewalDue = false;
    if (this.#owner.receiving) this.#stopTimeout();
    else if (this.slot !== undefined) this.#startTimeout();
  }

  #stopTimeout(): void {
    this.#owner.shared.timers.clear(this);
  }

  /** Stops all timers. */
  stop(): void {
    this.#stopTimeout();
    if (this.#blockedCheck === undefined) return;
    this.#owner.shared.timers.clear(this.#blockedCheck);
    this.#blockedCheck = undefined;
  }

  #startTimeout(): void {
    const { settings, shared, ending } = this.#owner;
    if (settings.idleReadTimeout === Infinity || ending) return;
    shared.timers.set(this, settings.idleReadTimeout);
  }

  fire(): void {
    this.#owner.guardTransport(() => this.#expire());
  }

  #expire(): void {
    const { settings, bufferedAmount } = this.#owner;
    const waiting =
      bufferedAmount === 0
        ? ''
        : ` while ${bufferedAmount} bytes of writes wait; the peer may wait in the same way: read while you write`;
    const message = `no read for ${settings.idleReadTimeout} ms${waiting} (option idleReadTimeout)`;
    this.#owner.abort(new TimeoutError(message, { permanent: true }));
  }
}
