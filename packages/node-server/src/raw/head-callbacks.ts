import type { RequestFacts, RequestHead } from '@ws/codec';
import { isThenable } from '@ws/conn/internal';
import { type HandshakeError, type HeaderPair, serverFault, unexpectedResult } from '../errors.ts';
import { type HeadersInput, NO_HEADERS, optionHeaderPairs } from '../headers.ts';
import type { HeadChecks } from '../options.ts';
import { type Refusal, type Refuser, returnedRefusal, thrownBy } from '../policies/authenticate.ts';

/** A result that lets the handshake continue, or the refusal that ends it. */
type Verdict = Refusal | undefined | void;

/**
 * Callbacks that look at a request head, as in gobwas/ws. Each is synchronous and may return
 * a {@link Refusal}. An Error refuses as one of `authenticate` does. Any other result is an error of
 * the application: it refuses with 500 and goes to `report`.
 *
 * They run for a request that asks for a WebSocket, before its path and its origin are checked.
 */
export interface HeadCallbacks {
  /** Gets the request target as sent. */
  readonly onRequest?: ((target: string, head: RequestFacts) => Verdict) | undefined;
  /** Gets the value of `Host`. */
  readonly onHost?: ((host: string, head: RequestFacts) => Verdict) | undefined;
  /**
   * Gets each header line that is not part of the handshake itself, in order, with its name as
   * sent: not Host, Upgrade, Connection and Sec-WebSocket-Key, -Version, -Protocol, -Extensions.
   */
  readonly onHeader?: ((name: string, value: string, head: RequestFacts) => Verdict) | undefined;
  /**
   * Runs last, after `authenticate` and `headers`. It may return headers for the 101; of a name that
   * the option `headers` has too, these win.
   */
  readonly onBeforeUpgrade?:
    | ((head: RequestFacts) => HeadersInput | Refusal | undefined | void)
    | undefined;
}

/** The fields of the handshake itself, in lower case. */
const OF_HANDSHAKE: ReadonlySet<string> = new Set([
  'host',
  'upgrade',
  'connection',
  'sec-websocket-version',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
]);

/** Runs the callbacks of `serveRaw`. */
export class HeadCallbackRunner implements HeadChecks {
  readonly #callbacks: HeadCallbacks;

  constructor(callbacks: HeadCallbacks) {
    this.#callbacks = callbacks;
  }

  checkHead(facts: RequestFacts): void {
    // Not as methods: `this` of the functions is undefined.
    const { onRequest, onHost, onHeader } = this.#callbacks;
    if (onRequest !== undefined) call('onRequest', () => onRequest(facts.target, facts));
    if (onHost !== undefined) call('onHost', () => onHost(facts.list('host'), facts));
    if (onHeader === undefined) return;
    for (const [name, value] of linesOf(facts)) {
      if (OF_HANDSHAKE.has(name.toLowerCase())) continue;
      call('onHeader', () => onHeader(name, value, facts));
    }
  }

  beforeUpgrade(facts: RequestFacts): readonly HeaderPair[] {
    const { onBeforeUpgrade } = this.#callbacks;
    if (onBeforeUpgrade === undefined) return NO_HEADERS;
    const where = 'onBeforeUpgrade';
    const result = resultOf(where, () => onBeforeUpgrade(facts));
    try {
      // A promise is an object without headers.
      if (!isThenable(result)) return optionHeaderPairs(result as HeadersInput | undefined);
    } catch (cause) {
      throw serverFault(where, cause);
    }
    const expected = 'headers, a refusal or undefined';
    throw serverFault(where, unexpectedResult(where, expected, result));
  }
}

/** @throws HandshakeError unless the callback returns undefined. */
function call(where: Refuser, callback: () => unknown): void {
  const result = resultOf(where, callback);
  if (result === undefined) return;
  throw serverFault(where, unexpectedResult(where, 'a refusal or undefined', result));
}

/** @throws HandshakeError for a refusal and for an error. */
function resultOf(where: Refuser, callback: () => unknown): unknown {
  let refusal: HandshakeError | undefined;
  let result: unknown;
  try {
    result = callback();
    refusal = returnedRefusal(where, result);
  } catch (error) {
    refusal = thrownBy(where, error);
  }
  if (refusal !== undefined) throw refusal;
  return result;
}

/** @throws HandshakeError 500 for facts that cannot name all lines: no check is left out. */
function linesOf(facts: RequestFacts): ReturnType<RequestHead['all']> {
  const { all } = facts as Partial<RequestHead>;
  if (typeof all === 'function') return all.call(facts);
  const message = 'onHeader: the head given to accept has no method all(), which lists its headers';
  throw serverFault('onHeader', new TypeError(message));
}
