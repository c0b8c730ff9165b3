import type { Report } from '@ws/conn';
import { checked, whole } from '@ws/conn/internal';
import { dial as defaultDial } from '@ws/node-client';
import { type Encoding, type Fields, fieldsOf, typed } from './encoding.ts';
import { ObsProtocolError } from './errors.ts';
import { EVENT, HELLO, IDENTIFIED, IDENTIFY } from './generated/wire.ts';
import { checkSubscriptions, Obs, type ObsInfo } from './obs.ts';
import { exchange, open, type Plan } from './open.ts';
import { expect, expectType, type ObsDial, waitOf } from './options.ts';

/** Options of {@link connect}. */
export interface ConnectOptions {
  /** The password of OBS's WebSocket server. Default: none. */
  readonly password?: string | undefined;
  /** Bits of `EventSubscription`. Default: all events except those of high volume. */
  readonly eventSubscriptions?: number | undefined;
  /** Cancels the connect at any stage. No effect after the connect has settled. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Time in ms to connect and to authenticate; `false`: no bound. Default: 10,000. The default
   * `dial` has its own bound of 45 s for the handshake, its option `handshakeTimeout`.
   */
  readonly timeout?: number | false | undefined;
  /**
   * The longest message of OBS that is accepted, in bytes; `false` for no limit. A longer one ends
   * the connection: a screenshot or a list of scenes may have many MiB. A function `dial` has to pass
   * it on. Default: 64 MiB.
   */
  readonly readLimit?: number | false | undefined;
  /** The version of the protocol. Default: 1. */
  readonly rpcVersion?: number | undefined;
  /** Sends binary messages instead of JSON: MessagePack. Default: JSON. */
  readonly encoding?: Encoding | undefined;
  /** Default: `dial` of `@ws/node-client`; in browsers, of `@ws/browser`. */
  readonly dial?: ObsDial | undefined;
  /**
   * Gets the errors of listeners, of wrong arguments, of `encode`, and of messages that
   * obs-websocket does not send. Default: a line on the console, at most one per kind and second.
   */
  readonly report?: Report | undefined;
}

/** The names of {@link ConnectOptions} that `CallOptions` lacks. */
const OPTION_NAMES = [
  'password',
  'eventSubscriptions',
  'readLimit',
  'rpcVersion',
  'encoding',
  'dial',
  'report',
];

/** Default of `readLimit`, in bytes. */
const READ_LIMIT = 64 * 2 ** 20;

export const DEFAULT_URL = 'ws://127.0.0.1:4455';

/**
 * Connects to the WebSocket server of OBS 28 or later, and authenticates. No event is delivered
 * before the code that awaits the promise has reached its next `await`: its listeners miss nothing.
 *
 * @param url - Default: `ws://127.0.0.1:4455`.
 * @returns The identified connection.
 * @throws (rejects) ObsCloseError when OBS closes: `closeCode` 4009 for a missing or wrong
 *   password, 4010 for an unsupported `rpcVersion`. ObsProtocolError when the server is not
 *   obs-websocket 5. TimeoutError; the reason of the signal; the errors of the dial; TypeError,
 *   RangeError for a wrong argument.
 *
 * @example
 * ```ts no-run
 * import { connect } from '@ws/obs';
 *
 * await using obs = await connect('ws://obs.example.org:4455', { password: 'secret' });
 * const { scenes } = await obs.call('GetSceneList');
 * await obs.call('SetCurrentProgramScene', { sceneName: scenes[0]!.sceneName });
 * ```
 */
export async function connect(
  url: string | URL = DEFAULT_URL,
  options: ConnectOptions = {},
): Promise<Obs> {
  return open(checked(() => planConnect('connect', url, options), connect));
}

/** @throws TypeError, RangeError that names the argument or the option. */
export function planConnect(
  method: string,
  url: string | URL,
  options: ConnectOptions,
  ...names: readonly string[]
): Plan<Obs> {
  expect(url instanceof URL || typeof url === 'string', 'url', 'a URL', url);
  // As obs-websocket-js takes it.
  if (typeof options === 'string') {
    throw new TypeError(`${method}: expected an object of options, got string; write { password }`);
  }
  const wait = waitOf(method, options, ...OPTION_NAMES, ...names);
  const {
    password,
    eventSubscriptions,
    readLimit = READ_LIMIT,
    rpcVersion = 1,
    encoding,
    report,
    dial = defaultDial,
  } = options;
  if (password !== undefined) expectType('password', 'string', password);
  expectType('dial', 'function', dial);
  if (report !== undefined) expectType('report', 'function', report);
  if (readLimit !== false) whole('readLimit', readLimit);
  whole('rpcVersion', rpcVersion, 1, 2 ** 31 - 1);
  checkSubscriptions(eventSubscriptions);
  if (encoding !== undefined) {
    for (const name of ['encode', 'decode'] as const) {
      expectType(`encoding.${name}`, 'function', encoding?.[name]);
    }
  }
  return {
    url,
    dial,
    readLimit,
    wait,
    subprotocol: `obswebsocket.${encoding === undefined ? 'json' : 'msgpack'}`,
    async login(conn) {
      const ask = async (op: number, fields?: Fields): Promise<Fields> => {
        let answer = await exchange(conn, encoding, fields);
        // The threads of OBS may send events before Identified.
        while (answer['op'] === EVENT) answer = await exchange(conn, encoding);
        if (answer['op'] === op) return fieldsOf(answer['d']);
        throw new ObsProtocolError(
          `expected op ${op} of obs-websocket 5; update an OBS before 28, or is it another server?`,
        );
      };
      const {
        authentication: challenge,
        obsWebSocketVersion = '',
        obsStudioVersion,
      } = await ask(HELLO);
      typed('obsWebSocketVersion', 'string', obsWebSocketVersion);
      if (obsStudioVersion !== undefined) typed('obsStudioVersion', 'string', obsStudioVersion);
      const authentication =
        challenge === undefined || password === undefined
          ? undefined
          : await proofOf(password, fieldsOf(challenge));
      const { negotiatedRpcVersion } = await ask(IDENTIFIED, {
        op: IDENTIFY,
        d: { rpcVersion, authentication, eventSubscriptions },
      });
      return new Obs(
        conn,
        {
          obsWebSocketVersion,
          obsStudioVersion,
          rpcVersion: typed('negotiatedRpcVersion', 'number', negotiatedRpcVersion),
        } as ObsInfo,
        encoding,
        report,
      );
    },
  };
}

/**
 * Returns the proof that this end knows the password:
 * base64(sha256(base64(sha256(password + salt)) + challenge)).
 *
 * @throws (rejects) ObsProtocolError for a malformed challenge; TypeError in a page without WebCrypto.
 */
async function proofOf(password: string, { salt, challenge }: Fields): Promise<string> {
  const inner = await digest(password + typed('salt', 'string', salt));
  return digest(inner + typed('challenge', 'string', challenge));
}

async function digest(text: string): Promise<string> {
  const subtle = crypto.subtle as typeof crypto.subtle | undefined;
  if (subtle === undefined) {
    throw new TypeError(
      'password: this page has no WebCrypto; load it over https or from localhost',
    );
  }
  const bytes = await subtle.digest('SHA-256', new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
