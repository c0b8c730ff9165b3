import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { ResponseHead } from '@ws/codec';
import { TimeoutError } from '@ws/conn';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { chooseProxy, DialScope, type ProxyPlan } from '@ws/node-client/internal';
import { nodePlatform } from '@ws/node-io';
import { callIfAllowed } from '@ws/node-io/internal';
import { ignore, isInstance } from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { Backend } from '../targets/target.ts';

/** Most interim responses (1xx) before the answer. */
const MAX_INTERIM = 10;

/** The head of a target's answer, and the stream that it came from. */
export interface Answer {
  /** Paused. `ignore` listens for its errors. */
  readonly stream: Duplex;
  readonly head: ResponseHead;
  /** The bytes that came after the head: the first frames, or the start of a body. */
  readonly rest: Buffer;
}

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
export class Exchange implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  /** The target has accepted the connection. */
  isOpen: boolean;
  /** @throws (rejects with) ProxyError 502 or 504. The stream is destroyed then. */
  readonly answer: Promise<Answer>;
  readonly #stream: Duplex;
  readonly #url: string;
  readonly #connectTimeout: number;
  #resolve!: (answer: Answer) => void;
  #reject!: (error: ProxyError) => void;
  #head = new ResponseHead();
  #interim = 0;

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
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (!this.isOpen) {
      this.#stream.once('connect', this.#onConnect);
      schedulerOf(nodePlatform).timers.set(this, connectTimeout, true);
    }
    this.#stream.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onEnd);
    this.#stream.write(request, 'latin1');
    this.#stream.resume();
    if (this.#stream.destroyed) this.#onEnd();
  }

  /** The connection has taken too long. */
  fire(): void {
    this.#fail(timedOut(`no connection to ${this.#url}`, 'connectTimeout', this.#connectTimeout));
  }

  /** Ends the stream. */
  abandon(): void {
    this.#settle();
    this.#stream.destroy();
  }

  readonly #onConnect = (): void => {
    this.isOpen = true;
    schedulerOf(nodePlatform).timers.clear(this);
  };

  readonly #onEnd = (): void => {
    const cause = this.#stream.errored ?? undefined;
    this.#fail(
      this.isOpen
        ? unreachable(`${this.#url}: it closed the connection before its answer`, cause)
        : unreachable(`no connection to ${this.#url}: ${cause?.message}`, cause),
    );
  };

  readonly #onData = (chunk: Buffer): void => {
    for (let rest = chunk; ; ) {
      const head = this.#head;
      const verdict = head.push(rest);
      if (verdict === 'more') return;
      if (verdict === 'fault') return this.#malformed(`is not HTTP: ${head.fault!.message}`);
      rest = rest.subarray(head.end);
      if (head.status >= 200 || head.status === 101) {
        this.#settle();
        return this.#resolve({ stream: this.#stream.pause(), head, rest });
      }
      if (++this.#interim > MAX_INTERIM) {
        return this.#malformed(`has more than ${MAX_INTERIM} interim responses (1xx)`);
      }
      this.#head = new ResponseHead();
    }
  };

  #malformed(why: string): void {
    this.#fail(unreachable(`${this.#url}: its answer ${why}`));
  }

  #fail(error: ProxyError): void {
    this.abandon();
    this.#reject(error);
  }

  #settle(): void {
    schedulerOf(nodePlatform).timers.clear(this);
    const stream = this.#stream.off('data', this.#onData);
    stream.off('end', this.#onEnd).off('close', this.#onEnd).off('connect', this.#onConnect);
  }
}
