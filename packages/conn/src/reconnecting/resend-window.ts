import { Deferred } from '../time/promises.ts';

/** The most messages and bytes of a backlog that a connection gets before an acknowledgement. */
const WINDOW_MESSAGES = 64;
const WINDOW_BYTES = 65_536;
/** The time in ms without an acknowledgement after which the window doubles. */
const STALL_MS = 5_000;
/** The time in ms without an acknowledgement that is reported. */
const SILENCE_MS = 30_000;

/**
 * Bounds what a connection has got and its peer has not acknowledged, while the backlog goes out: a
 * server that is slower than its client would be overloaded. The window grows while no
 * acknowledgement comes: a server may acknowledge many messages together.
 */
export class ResendWindow {
  readonly #silent: (error: Error) => void;
  #messages = 0;
  #bytes = 0;
  #isSuspicious = false;
  /** The factor of the bounds. */
  #scale = 1;
  /** Runs while a message waits for its acknowledgement. */
  #timer: unknown;
  /** Whether an acknowledgement has come since the timer fired last. */
  #hasHeard = false;
  /** Milliseconds without an acknowledgement. */
  #silence = 0;
  /** Resolves when there may be room. */
  #room: Deferred<void> | undefined;

  /** @param silent - Called once, when no acknowledgement comes for long. */
  constructor(silent: (error: Error) => void) {
    this.#silent = silent;
  }

  /** @param isSuspicious - Whether the peer has refused a message: then one leaves at a time. */
  opened(isSuspicious: boolean): void {
    this.#messages = this.#bytes = 0;
    this.#scale = 1;
    this.#isSuspicious = isSuspicious;
  }

  closed(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wake();
  }

  took(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
    this.#watch();
  }

  acknowledged(bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
    this.#hasHeard = true;
    this.#wake();
  }

  /** Whether the next message, of so many bytes, may leave. */
  hasRoom(bytes: number): boolean {
    if (this.#messages === 0) return true;
    const most = (this.#isSuspicious ? 1 : WINDOW_MESSAGES) * this.#scale;
    return this.#messages < most && this.#bytes + bytes <= WINDOW_BYTES * this.#scale;
  }

  /** Resolves when {@link hasRoom} may have changed. */
  untilChange(): Promise<void> {
    this.#room ??= new Deferred();
    return this.#room.promise;
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #watch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#messages > 0) this.#stalled();
    }, STALL_MS);
  }

  #stalled(): void {
    this.#watch();
    const hasHeard = this.#hasHeard;
    this.#hasHeard = false;
    if (hasHeard) {
      this.#silence = 0;
      return;
    }
    this.#scale *= 2;
    this.#wake();
    this.#silence += STALL_MS;
    if (this.#silence !== SILENCE_MS) return;
    this.#silent(
      new Error(
        `no acknowledgement of ${this.#messages} messages for ${SILENCE_MS / 1000} s; let the peer acknowledge each id, and resend.acknowledged return it`,
      ),
    );
  }
}
