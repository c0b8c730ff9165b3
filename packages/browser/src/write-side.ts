import type { BackpressureError } from '@ws/conn';
import { type CallPromise, markHandled, RESOLVED, refused, rejected } from '@ws/conn/internal';
import type { BrowserConnSettings } from './options.ts';
import { MESSAGE_COST, overflow } from './payload.ts';
import { nothing } from './promises.ts';
import { utf8Length } from './utf8-length.ts';
import type { PageSocket } from './web-types.ts';

/** Sends messages, and bounds the bytes that wait to be sent. */
export class WriteSide {
  /** Number of messages that were sent. */
  messages = 0;
  /** Bytes of these messages. */
  bytes = 0;
  /** Number of messages that were not sent, because they exceed `maxBufferedAmount`. */
  refused = 0;
  #hasReportedRefusal = false;
  /** Ends the connection, if the write deadline has passed. */
  applyDeadline: () => void = nothing;
  readonly #socket: PageSocket;
  readonly #settings: BrowserConnSettings;
  readonly #closed: Promise<unknown>;
  /** One promise for all writes above the high-water mark. */
  #drained: Promise<void> | undefined;
  /** Lets a waiting write check `bufferedAmount` now. The `drain` event of Bun calls it. */
  check: () => void = nothing;
  /** Called when no message is accepted any more. May be called twice. */
  onStop: () => void = nothing;
  /** Why no message is accepted any more. */
  #ended: { readonly reason: unknown } | undefined;
  /** Why nothing more is sent. */
  #failed: { readonly reason: unknown } | undefined;

  constructor(socket: PageSocket, settings: BrowserConnSettings, closed: Promise<unknown>) {
    this.#socket = socket;
    this.#settings = settings;
    this.#closed = closed;
  }

  /** Bytes that were accepted and not yet sent. */
  get buffered(): number {
    // React Native has no `bufferedAmount`.
    return this.#socket.bufferedAmount || 0;
  }

  /** Bytes that count for the bounds: {@link buffered}, and the cost of messages of a ConnectingSocket. */
  get #charged(): number {
    return this.buffered + (this.#socket.overhead ?? 0);
  }

  /**
   * A rejected promise when no message is accepted any more, else undefined. First applies the write
   * deadline.
   */
  get rejection(): Promise<never> | undefined {
    this.applyDeadline();
    // A closing socket would drop the message without an error.
    if (this.#ended === undefined && this.#socket.readyState < 2) return undefined;
    const reject = (): Promise<never> => rejected(this.#ended!.reason);
    return this.#ended ? reject() : markHandled(this.#closed.then(reject));
  }

  /** The error, if a message of `size` bytes would exceed `maxBufferedAmount`. */
  overflow(buffered: number, size: number): BackpressureError | undefined {
    const effect = 'the message was not sent: ';
    return overflow(this.#settings, 'maxBufferedAmount', buffered, size, effect);
  }

  /** @param waited - Whether the message has waited for room: `maxBufferedAmount` does not apply. */
  send(data: string | Uint8Array, waited = false): Promise<void> {
    const socket = this.#socket;
    const { rejection } = this;
    if (rejection !== undefined) return rejection;
    const size = typeof data === 'string' ? utf8Length(data) : data.length;
    const charged = this.#charged;
    const full =
      charged > 0 &&
      !waited &&
      this.overflow(charged, socket.readyState > 0 ? size : size + MESSAGE_COST);
    if (full) return this.refuse(full);
    socket.send(data);
    this.messages++;
    // Not the growth of `bufferedAmount`: Bun and ws send at once.
    this.bytes += size;
    return this.untilWritable() ?? RESOLVED;
  }

  get report(): BrowserConnSettings['report'] {
    return this.#settings.report;
  }

  /** Counts a refused message. Reports the first one whose promise no code awaits. */
  refuse(error: BackpressureError): CallPromise<never> {
    this.refused++;
    return refused(error, this, () => {
      if (!this.#hasReportedRefusal) this.#settings.report(error);
      this.#hasReportedRefusal = true;
    });
  }

  /** Resolves when the buffered bytes are below the high-water mark; undefined if they are now. */
  untilWritable(): Promise<void> | undefined {
    return this.#isLow ? undefined : (this.#drained ??= markHandled(this.#untilLow()));
  }

  async #untilLow(): Promise<void> {
    // Some runtimes send after the current microtask.
    await RESOLVED;
    const turns = this.#settings.turns();
    try {
      while (!this.#isLow) {
        if (this.#failed) throw this.#failed.reason;
        await new Promise<void>((resolve) => {
          this.check = resolve;
          turns.next(resolve);
        });
      }
    } finally {
      turns.stop?.();
    }
    this.#drained = undefined;
  }

  get #isLow(): boolean {
    return this.#charged < this.#settings.highWaterMark;
  }

  /** Accepts no more messages. Accepted messages are still sent. */
  stop(reason: unknown): void {
    this.#ended ??= { reason };
    this.onStop();
  }

  /** Accepts no more messages, and fails waiting writes: nothing more is sent. */
  fail(reason: unknown): void {
    this.stop(reason);
    this.#failed ??= { reason };
    this.check();
  }
}
