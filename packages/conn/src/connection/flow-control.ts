import { TimeoutError, type TransportError, transportFailed } from '../errors.ts';
import type { TimerEntry, Timers } from '../time/timers.ts';
import type { Transport } from '../transport.ts';

/** The connection of a {@link FlowControl}. */
export interface FlowControlOwner {
  readonly transport: Transport;
  readonly shared: { readonly timers: Timers };
  readonly settings: { readonly idleReadTimeout: number };
  /**
   * Whether `receive` or `discardReads` is pending. No timeout runs then: a handler has no time
   * limit.
   */
  readonly receiving: boolean;
  /** Whether the connection has begun to end. */
  readonly ending: boolean;
  abort(error: TimeoutError | TransportError): void;
  /** Aborts when `result` of a transport's method is a promise that rejects. */
  watchTransport(method: 'pause' | 'resume', result: unknown): void;
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

  constructor(owner: FlowControlOwner) {
    this.#owner = owner;
  }

  pause(): void {
    this.paused = true;
    this.#call('pause');
    // The timeout also runs while a message is inflated for a reader, since the reader may give up.
    // Each step of inflating restarts it.
    if (!this.#owner.receiving) this.#startTimeout();
  }

  resume(): void {
    this.stopTimeout();
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
    if (this.#owner.receiving) this.stopTimeout();
    else if (this.slot !== undefined) this.#startTimeout();
  }

  stopTimeout(): void {
    this.#owner.shared.timers.clear(this);
  }

  #startTimeout(): void {
    const { settings, shared, ending } = this.#owner;
    if (settings.idleReadTimeout === Infinity || ending) return;
    shared.timers.set(this, settings.idleReadTimeout);
  }

  fire(): void {
    const { idleReadTimeout } = this.#owner.settings;
    this.#owner.abort(
      new TimeoutError(`no read for ${idleReadTimeout} ms (option idleReadTimeout)`, {
        permanent: true,
      }),
    );
  }
}
