import type { ClientHttp2Stream } from 'node:http2';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { TimeoutError } from '@ws/conn';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import {
  askOnStream,
  Exchange,
  openWithin,
  SharedSession,
  Unprocessed,
} from '@ws/node-client/internal';
import { nodePlatform } from '@ws/node-io';
import { callIfAllowed, cutStream, isInstance } from '@ws/node-io/internal';
import { HandshakeError } from '@ws/node-server';
import { ProxyError } from '../errors.ts';
import type { CheckedOptions } from '../options.ts';
import type { Backend } from '../targets/target.ts';
import { destroyOnError } from '../tunnel/duplex.ts';
import type { TargetAnswer } from './answer.ts';

/** The request of a handshake with a target. */
export type TargetRequest = Parameters<typeof askOnStream>[1];

export function timedOut(what: string, option: string, ms: number, cause?: unknown): ProxyError {
  const message = `${what} within ${ms} ms (option ${option})`;
  return new ProxyError('WS_ERR_PROXY_TIMEOUT', 504, message, { cause });
}

export function unreachable(message: string, cause?: unknown): ProxyError {
  return new ProxyError('WS_ERR_PROXY_TARGET', 502, message, { cause });
}

/**
 * Opens a stream through an outer proxy or with TLS, or finds a session of HTTP/2.
 *
 * @param http1 - The target wants this request over HTTP/1.1.
 * @param signal - The signal of the handshake.
 * @throws ProxyError 502 or 504; the reason of `signal`.
 */
export async function openTarget(
  { address, connector, url }: Backend,
  { proxy, http2, connectTimeout: timeout }: CheckedOptions,
  http1: boolean,
  signal: AbortSignal,
): Promise<Duplex | SharedSession> {
  try {
    const plan = { proxy, http2 };
    const carrier = await openWithin(connector, plan, address, http1, timeout, signal);
    if (!(carrier instanceof SharedSession)) {
      const { stream } = carrier;
      stream.on('error', destroyOnError);
      carrier.unguard();
      // Frames are small and written whole: Nagle's algorithm would only delay them.
      callIfAllowed(stream, 'setNoDelay', true);
      return stream;
    }
    if (!signal.aborted) return carrier;
    carrier.releaseStream();
    throw signal.reason;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw isInstance(cause, TimeoutError)
      ? timedOut(`no connection to ${url}`, 'connectTimeout', timeout, cause)
      : unreachable(`no connection to ${url}`, cause);
  }
}

/** One request to a target, from its dial to the head of the answer. */
export interface TargetExchange {
  /** The target has accepted the connection. */
  readonly isOpen: boolean;
  /**
   * The stream of the answer is paused, and `destroyOnError` listens for its errors.
   *
   * @throws (rejects with) ProxyError 502 or 504; HandshakeError 431; Unprocessed of a session. Call
   *   `abandon` then.
   */
  readonly answer: Promise<TargetAnswer>;
  /** Ends the stream. */
  abandon(): void;
}

/** A request over HTTP/1.1. */
export class Http1Exchange implements TargetExchange, TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  isOpen: boolean;
  readonly #stream: Duplex;
  readonly #url: string;
  readonly #connectTimeout: number;
  readonly #onOpen: () => void;
  readonly #exchange: Exchange;

  /**
   * @param stream - Undefined connects to the target: without TLS, and without an outer proxy.
   * @param onOpen - Called when it has connected.
   */
  constructor(
    { address, url }: Backend,
    stream: Duplex | undefined,
    connectTimeout: number,
    request: string,
    onOpen: () => void,
  ) {
    this.#url = url;
    this.#connectTimeout = connectTimeout;
    this.#onOpen = onOpen;
    this.isOpen = stream !== undefined;
    this.#stream =
      stream ?? connect({ ...address.address, noDelay: true }).on('error', destroyOnError);
    if (!this.isOpen) {
      this.#stream.once('connect', this.#onConnect);
      schedulerOf(nodePlatform).timers.set(this, connectTimeout, true);
    }
    // Written before the connection is open: the kernel sends it with the last part of the TCP handshake.
    this.#exchange = new Exchange(this.#stream, request, this.#errorOf);
  }

  get answer(): Promise<TargetAnswer> {
    return this.#exchange.answer;
  }

  /** The connection has taken too long. */
  fire(): void {
    const error = timedOut(`no connection to ${this.#url}`, 'connectTimeout', this.#connectTimeout);
    this.#exchange.fail(error);
  }

  abandon(): void {
    schedulerOf(nodePlatform).timers.clear(this);
    this.#stream.off('connect', this.#onConnect);
    this.#exchange.stop();
    this.#stream.destroy();
  }

  readonly #onConnect = (): void => {
    this.isOpen = true;
    schedulerOf(nodePlatform).timers.clear(this);
    this.#onOpen();
  };

  readonly #errorOf: ConstructorParameters<typeof Exchange>[2] = (failure): ProxyError => {
    const url = this.#url;
    switch (failure.kind) {
      case 'malformed':
        return unreachable(`${url}: its answer is not HTTP: ${failure.fault.message}`);
      case 'interim':
        return unreachable(
          `${url}: its answer has more than ${failure.most} interim responses (1xx)`,
        );
      case 'ended': {
        const { error } = failure;
        return this.isOpen
          ? unreachable(`${url}: it closed the connection before its answer`, error)
          : unreachable(`no connection to ${url}: ${error?.message}`, error);
      }
    }
  };
}

/** A request over HTTP/2, on a stream of a session with the target. */
export class Http2Exchange implements TargetExchange {
  readonly isOpen = true;
  readonly answer: Promise<TargetAnswer>;
  #stream: ClientHttp2Stream | undefined;

  constructor({ url }: Backend, shared: SharedSession, request: TargetRequest) {
    this.answer = this.#ask(url, shared, request);
  }

  async #ask(url: string, shared: SharedSession, request: TargetRequest): Promise<TargetAnswer> {
    try {
      const { stream, head } = askOnStream(shared, request);
      stream.on('error', destroyOnError);
      this.#stream = stream;
      return { stream, head: await head, rest: Buffer.alloc(0) };
    } catch (error) {
      if (isInstance(error, Unprocessed)) throw error;
      if (isInstance(error, RangeError)) throw tooLarge(error);
      throw unreachable(`${url}: it closed the connection before its answer`, error);
    }
  }

  abandon(): void {
    if (this.#stream !== undefined) cutStream(this.#stream);
  }
}

/** The headers of the client, with those of the proxy. */
function tooLarge(cause: Error): HandshakeError {
  const message = `request head is too large for the target: ${cause.message}`;
  return new HandshakeError(431, message, { body: 'request head is too large\n', cause });
}
