import { CloseCode, PingMessage } from '@ws/codec';
import { copyOf } from './copy.ts';
import type { Host } from './host.ts';
import type { Intake } from './intake.ts';
import type { Outbox } from './outbox.ts';
import { Pings } from './pings.ts';

/** Called with the payload of a ping or a pong: bytes of its own, at most 125. */
export type PingPongHandler = (payload: Uint8Array) => void | PromiseLike<void>;
/** Called with the code (1005 when there was none) and the reason of the peer's close frame. */
export type CloseHandler = (code: number, reason: string) => void | PromiseLike<void>;

/** What the control frames ask of the connection. */
export interface ControlsOwner {
  readonly outbox: Outbox;
  fail(error: unknown, code: number, reason: string): void;
}

/** Pings, pongs and the user's handlers of control frames. */
export class Controls {
  pingHandler: PingPongHandler | undefined;
  pongHandler: PingPongHandler | undefined;
  closeHandler: CloseHandler | undefined;
  readonly #owner: ControlsOwner;
  readonly #host: Host;
  readonly #maxPendingPings: number;
  #pings: Pings | undefined;

  constructor(owner: ControlsOwner, host: Host, maxPendingPings: number) {
    this.#owner = owner;
    this.#host = host;
    this.#maxPendingPings = maxPendingPings;
  }

  /** The pings of this connection, made when the first one is sent. */
  get pings(): Pings {
    this.#pings ??= new Pings(this.#host, this.#maxPendingPings);
    return this.#pings;
  }

  get rtt(): number {
    return this.#pings?.rtt ?? NaN;
  }

  /** A ping arrived: it lies in `intake`. False when there is no handler to take it. */
  ping({ bytes, start, end }: Intake): boolean {
    const handler = this.pingHandler;
    if (handler === undefined) return false;
    this.#run(() => handler(copyOf(bytes, start, end)));
    return true;
  }

  /** A pong arrived: it lies in `intake`. */
  pong({ bytes, start, end }: Intake): void {
    this.#pings?.pong(bytes, start, end);
    const handler = this.pongHandler;
    if (handler !== undefined) this.#run(() => handler(copyOf(bytes, start, end)));
  }

  /** A close frame is to be answered. The promise settles as the user's handler does; without one there is none. */
  close(code: number, reason: string): Promise<void> | undefined {
    const handler = this.closeHandler;
    return handler === undefined ? undefined : (async () => handler(code, reason))();
  }

  /** The heartbeat's ping: nobody waits for it, and it does not count as one of the user's. */
  beat(): void {
    const payload = this.pings.beat();
    void this.#owner.outbox.control(PingMessage, payload, 0, payload.length, true);
  }

  /** Sends a ping; resolves with the round trip in ms. */
  send(payload: Uint8Array, timeout: number): Promise<number> {
    return this.pings.add(payload, timeout, (bytes) => {
      return this.#owner.outbox.control(PingMessage, bytes, 0, bytes.length);
    });
  }

  /** No input can come any more. */
  end(error: unknown): void {
    this.pings.end(error);
  }

  #run(call: () => void | PromiseLike<void>): void {
    (async () => call())().catch((error: unknown) => {
      this.#owner.fail(error, CloseCode.InternalServerErr, '');
    });
  }
}
