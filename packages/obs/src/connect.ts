import { checked, whole } from '@ws/conn/internal';
import { dial as defaultDial } from '@ws/node-client';
import { proofOf } from './authentication.ts';
import { type Encoding, type Fields, fieldsOf, typed } from './encoding.ts';
import { ObsProtocolError } from './errors.ts';
import { checkSubscriptions, Obs, type ObsInfo } from './obs.ts';
import { exchange, open, type Plan } from './open.ts';
import { expectType, type OpenOptions, openWaitOf, readLimitOf } from './options.ts';
import { EVENT, HELLO, IDENTIFIED, IDENTIFY } from './wire.ts';

/** Options of {@link connect}. */
export interface ConnectOptions extends OpenOptions {
  /** Bits of `EventSubscription`. Default: all events except those of high volume. */
  readonly eventSubscriptions?: number | undefined;
  /** The version of the protocol. Default: 1. */
  readonly rpcVersion?: number | undefined;
  /** Sends binary messages instead of JSON: MessagePack. Default: JSON. */
  readonly encoding?: Encoding | undefined;
}

/** The names of {@link ConnectOptions} that {@link OpenOptions} lacks. */
const OPTION_NAMES = ['eventSubscriptions', 'rpcVersion', 'encoding'];

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
  const wait = openWaitOf(method, url, options, ...OPTION_NAMES, ...names);
  const {
    password,
    eventSubscriptions,
    rpcVersion = 1,
    encoding,
    report,
    dial = defaultDial,
  } = options;
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
    readLimit: readLimitOf(options),
    wait,
    subprotocols: [`obswebsocket.${encoding === undefined ? 'json' : 'msgpack'}`],
    waitsFor: 'Hello of obs-websocket 5 (before OBS 28, use connectV4 of @ws/obs/v4)',
    async login(conn) {
      const ask = async (op: number, fields?: Fields): Promise<Fields> => {
        let answer = await exchange(conn, encoding, fields);
        // The threads of OBS may send events before Identified.
        while (answer['op'] === EVENT) answer = await exchange(conn, encoding);
        if (answer['op'] === op) return fieldsOf(answer['d']);
        throw new ObsProtocolError(`expected op ${op} of obs-websocket 5; is it another server?`);
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
