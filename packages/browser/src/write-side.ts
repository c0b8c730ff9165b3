import {
  type BackpressureError,
  handled,
  portablePlatform,
  RESOLVED,
  type Refusal,
  rejectedLater,
} from '@ws/conn/parts';
import type { BrowserConnSettings } from './options.ts';
import { bytesOf, overflow } from './payload.ts';
import { nothing, report } from './promises.ts';
import type { PageSocket } from './web-types.ts';

/** The first and the longest time in ms between two looks at `bufferedAmount`, which has no event. */
const FIRST_POLL = 4;
const LAST_POLL = 50;

/** Sends messages, and bounds what waits to be sent. */
export class WriteSide {
  messages = 0;
  /** Bytes of the messages. */
  bytes = 0;
  /** Messages that were not sent, because they exceed `maxBufferedAmount`. */
  refused = 0;
  #refusalReported = false;
  /** Ends the connection once the write deadline has passed; does nothing before. */
  expired: () => void = nothing;
  readonly #socket: PageSocket;
  readonly #settings: BrowserConnSettings;
  readonly #closed: Promise<unknown>;
  /** Messages that wait for a socket that connects. */
  readonly #early: (string | Uint8Array)[] = [];
  #earlyBytes = 0;
  /** One promise for all writes above the high-water mark. */
  #drained: Promise<void> | undefined;
  /** Looks at `bufferedAmount` at once, while a write waits. */
  #look = nothing;
  /** Why no message is accepted any more. */
  #ended: { readonly reason: unknown } | undefined;
  /** Why nothing more is sent. */
  #failed: { readonly reason: unknown } | undefined;

  constructor(socket: PageSocket, settings: BrowserConnSettings, closed: Promise<unknown>) {
    this.#socket = socket;
    this.#settings = settings;
    this.#closed = closed;
    socket.addEventListener('open', () => this.#sendEarly());
  }

  /** Bytes that were accepted and not yet sent. */
  get buffered(): number {
    return this.#earlyBytes + this.#socket.bufferedAmount;
  }

  /**
   * A rejected promise when no message is accepted any more. A write deadline that has passed takes
   * effect here.
   */
  get rejection(): Promise<never> | undefined {
    this.expired();
    // A socket that closes would drop a message without an error.
    if (this.#ended === undefined && this.#socket.readyState < 2) return undefined;
    const reject = (): Promise<never> => rejectedLater(portablePlatform, this.#ended!.reason);
    return this.#ended ? reject() : handled(this.#closed.then(reject));
  }

  /** The error of a message of `size` bytes that exceeds `maxBufferedAmount`, if it does. */
  overflow(buffered: number, size: number): BackpressureError | undefined {
    const { maxBufferedAmount } = this.#settings;
    const effect = 'the message was not sent: ';
    return overflow(buffered, size, 'maxBufferedAmount', maxBufferedAmount, effect);
  }

  /** @param waited - Whether the message has waited for room: `maxBufferedAmount` does not apply. */
  send(data: string | Uint8Array, waited = false): Promise<void> {
    const socket = this.#socket;
    // Another listener of 'open' may send first.
    if (socket.readyState > 0) this.#sendEarly();
    const { rejection, buffered } = this;
    if (rejection !== undefined) return rejection;
    // A UTF-16 unit has at most three bytes in UTF-8.
    const full =
      buffered > 0 &&
      !waited &&
      this.overflow(buffered, data.length * 3) &&
      this.overflow(buffered, bytesOf('', data).length);
    if (full) return this.refuse(full);
    if (socket.readyState > 0) socket.send(data);
    else {
      this.#early.push(data.slice());
      this.#earlyBytes += bytesOf('', data).length;
    }
    this.messages++;
    this.bytes += this.buffered - buffered;
    return this.untilWritable() ?? RESOLVED;
  }

  /** Counts a message that was not sent. The first one whose promise no code awaits is reported. */
  refuse(error: BackpressureError): Refusal {
    this.refused++;
    return rejectedLater(portablePlatform, error, () => {
      if (!this.#refusalReported) report(error);
      this.#refusalReported = true;
    });
  }

  #sendEarly(): void {
    this.#earlyBytes = 0;
    // `shift` would move all later messages each time: 6 s for 50,000.
    for (const data of this.#early.splice(0)) this.#socket.send(data);
  }

  /** Resolves below the high-water mark; undefined while there is room. */
  untilWritable(): Promise<void> | undefined {
    return this.#isLow ? undefined : (this.#drained ??= handled(this.#untilLow()));
  }

  async #untilLow(): Promise<void> {
    for (let ms = FIRST_POLL; !this.#isLow; ms = Math.min(ms * 2, LAST_POLL)) {
      if (this.#failed) throw this.#failed.reason;
      await new Promise<void>((resolve) => {
        this.#look = resolve;
        setTimeout(resolve, ms);
      });
    }
    this.#drained = undefined;
  }

  get #isLow(): boolean {
    return this.buffered < this.#settings.highWaterMark;
  }

  /** No further message is accepted. Messages that were accepted are sent. */
  end(reason: unknown): void {
    this.#ended ??= { reason };
  }

  /** Nothing more is sent. */
  fail(reason: unknown): void {
    this.end(reason);
    this.#failed ??= { reason };
    this.#look();
  }
}
