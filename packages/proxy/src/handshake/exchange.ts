import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { TimeoutError } from '@ws/conn';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import {
  chooseProxy,
  DialScope,
  Exchange,
  type ExchangeFailure,
  type FinalResponse,
  MAX_INTERIM,
  type ProxyPlan,
} from '@ws/node-client/internal';
import { nodePlatform } from '@ws/node-io';
import { callIfAllowed } from '@ws/node-io/internal';
import { ignore, isInstance } from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { Backend } from '../targets/target.ts';

export function timedOut(what: string, option: string, ms: number, cause?: unknown): ProxyError {
  const message = `${what} within ${ms} ms (option ${option})`;
  return new ProxyError('WS_ERR_PROXY_TIMEOUT', 504, message, { cause });
}

function unreachable(message: string, cause?: unknown): ProxyError {
  return new ProxyError('WS_ERR_PROXY_TARGET', 502, message, { cause });
}

/**
 * Opens a stream through an outer proxy or with TLS.
 *
 * @param signal - The signal of the handshake.
 * @throws ProxyError 502 or 504; the reason of `signal`.
 */
export async function openStream(
  backend: Backend,
  proxy: ProxyPlan,
  timeout: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const { address, connector, url } = backend;
  const scope = new DialScope(timeout, signal);
  scope.peer = String(address.address);
  try {
    const via = await chooseProxy(proxy, address, scope);
    const guarded = await connector.open(address, via, true, scope);
    const { stream } = guarded;
    stream.on('error', ignore);
    guarded.release();
    // Frames are small and written whole: Nagle's algorithm would only delay them.
    callIfAllowed(stream, 'setNoDelay', true);
    return stream;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw isInstance(cause, TimeoutError)
      ? timedOut(`no connection to ${url}`, 'connectTimeout', timeout, cause)
      : unreachable(`no connection to ${url}`, cause);
  } finally {
    scope.end();
  }
}

/** One request to a target, from its dial to the head of the answer. */
export class TargetExchange implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  /** The target has accepted the connection. */
  isOpen: boolean;
  readonly #stream: Duplex;
  readonly #url: string;
  readonly #connectTimeout: number;
  readonly #exchange: Exchange;

  /** @param stream - Undefined connects to the target: without TLS, and without an outer proxy. */
  constructor(
    { address, url }: Backend,
    stream: Duplex | undefined,
    connectTimeout: number,
    request: string,
  ) {
    this.#url = url;
    this.#connectTimeout = connectTimeout;
    this.isOpen = stream !== undefined;
    this.#stream = stream ?? connect({ ...address.address, noDelay: true }).on('error', ignore);
    if (!this.isOpen) {
      this.#stream.once('connect', this.#onConnect);
      schedulerOf(nodePlatform).timers.set(this, connectTimeout, true);
    }
    // Written before the connection is open: the kernel sends it with the last part of the TCP handshake.
    const toSend = { method: 'GET', text: request } as const;
    this.#exchange = new Exchange(this.#stream, toSend, (failure) => this.#errorOf(failure));
  }

  /**
   * The stream of the answer is paused, and `ignore` listens for its errors.
   *
   * @throws (rejects with) ProxyError 502 or 504. Call `abandon` then.
   */
  get answer(): Promise<FinalResponse> {
    return this.#exchange.answer;
  }

  /** The connection has taken too long. */
  fire(): void {
    const error = timedOut(`no connection to ${this.#url}`, 'connectTimeout', this.#connectTimeout);
    this.#exchange.fail(error);
  }

  /** Ends the stream. */
  abandon(): void {
    schedulerOf(nodePlatform).timers.clear(this);
    this.#stream.off('connect', this.#onConnect);
    this.#exchange.stop();
    this.#stream.destroy();
  }

  readonly #onConnect = (): void => {
    this.isOpen = true;
    schedulerOf(nodePlatform).timers.clear(this);
  };

  #errorOf(failure: ExchangeFailure): ProxyError {
    const url = this.#url;
    switch (failure.kind) {
      case 'malformed':
        return unreachable(`${url}: its answer is not HTTP: ${failure.fault.message}`);
      case 'interim':
        return unreachable(
          `${url}: its answer has more than ${MAX_INTERIM} interim responses (1xx)`,
        );
      case 'ended': {
        const { error } = failure;
        return this.isOpen
          ? unreachable(`${url}: it closed the connection before its answer`, error)
          : unreachable(`no connection to ${url}: ${error?.message}`, error);
      }
    }
  }
}
