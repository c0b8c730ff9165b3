import { bounded } from '@ws/browser/internal';
import { isBytes, lengthOf, viewOf } from '@ws/codec/internal';
import {
  BackpressureError,
  type ConnStats,
  type PingOptions,
  type PingPongHandler,
} from '@ws/conn';
import { badType, markHandled, rejected, whole } from '@ws/conn/internal';
import type { BunSocket } from './bun-socket.ts';
import type { Plan } from './options.ts';
import { SocketConn, type SocketRuntime } from './server-conn.ts';

export type { BunWebSocket } from './bun-socket.ts';

/** As of a Conn. */
const PING_TIMEOUT = 20_000;
const MAX_PENDING_PINGS = 64;
const MAX_PAYLOAD = 125;

interface Ping {
  readonly payload: string;
  readonly sentAt: number;
  readonly resolve: (rtt: number) => void;
  readonly stop: (reason: unknown) => void;
}

/** A connection on Bun, which has pings. */
export class BunConn extends SocketConn {
  readonly socket: BunSocket;
  #pings: Ping[] = [];
  #pingsIn = 0;
  #pingsOut = 0;
  #rtt = NaN;
  #onPing: PingPongHandler | null = null;
  #onPong: PingPongHandler | null = null;

  constructor(socket: BunSocket, plan: Plan, runtime: SocketRuntime, address: string | undefined) {
    super(socket, plan, runtime, address);
    this.socket = socket;
    void this.closed.then(({ error }) => {
      for (const { stop } of this.#pings) stop(error ?? ended());
    });
  }

  override get stats(): ConnStats {
    return {
      ...super.stats,
      pingsIn: this.#pingsIn,
      pingsOut: this.#pingsOut,
      rtt: this.#rtt,
    };
  }

  /** Sends a ping. Resolves with the round trip in ms: see `Conn.ping`. */
  override ping(data?: unknown, options: PingOptions = {}): Promise<number> {
    const payload = payloadOf(data ?? String(this.#pingsOut));
    if (payload === undefined) {
      return rejected(badType(`ping: expected at most ${MAX_PAYLOAD} bytes`, data));
    }
    if (this.#pings.length >= MAX_PENDING_PINGS) {
      return rejected(new BackpressureError(`${MAX_PENDING_PINGS} pings are unanswered`));
    }
    if (this.state === 'closed') {
      return markHandled(this.closed.then(({ error }) => Promise.reject(error ?? ended())));
    }
    const { signal, timeout = PING_TIMEOUT } = options;
    const bounds = { signal, ...(timeout !== false && { timeout: whole('timeout', timeout) }) };
    return markHandled(
      bounded<number>(bounds, (resolve, reject) => {
        const stop = (reason: unknown): void => {
          this.#pings = this.#pings.filter((each) => each !== ping);
          reject(reason);
        };
        const ping = { payload: latin1(payload), sentAt: performance.now(), resolve, stop };
        this.#pings.push(ping);
        this.#pingsOut++;
        if (this.state === 'open') this.socket.ws.ping(payload);
        return stop;
      }),
    );
  }

  override setPingHandler(handler: PingPongHandler | null): void {
    this.#onPing = handler;
  }

  override setPongHandler(handler: PingPongHandler | null): void {
    this.#onPong = handler;
  }

  /** Bun has answered it. */
  pinged(data: Uint8Array): void {
    this.#pingsIn++;
    this.#call('ping handler', this.#onPing, data);
  }

  ponged(data: Uint8Array): void {
    const payload = latin1(data);
    const at = this.#pings.findIndex((ping) => ping.payload === payload);
    // A pong answers the pings before its own, too (RFC 6455, section 5.5.3).
    for (const { resolve, sentAt } of this.#pings.splice(0, at + 1)) {
      this.#rtt = performance.now() - sentAt;
      resolve(this.#rtt);
    }
    this.#call('pong handler', this.#onPong, data);
  }

  #call(name: string, handler: PingPongHandler | null, data: Uint8Array): void {
    if (handler === null) return;
    const call = async (): Promise<unknown> => handler(new Uint8Array(data));
    call().catch((error: unknown) => this.failed(error, name));
  }
}

function ended(): Error {
  return new Error('the connection has ended');
}

/** The bytes of a ping, in a plain array; undefined for other data. */
function payloadOf(data: unknown): Uint8Array | undefined {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  if (!isBytes(bytes)) return undefined;
  const length = lengthOf(bytes);
  if (length > MAX_PAYLOAD) return undefined;
  // No view of a buffer that was transferred can be made.
  return length === 0 ? new Uint8Array(0) : viewOf(bytes, 0, length);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
