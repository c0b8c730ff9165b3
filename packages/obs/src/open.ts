import type { Message } from '@ws/conn';
import { WebSocketError } from '@ws/conn/parts';
import { bounded } from './bounded.ts';
import { decode, type Encoding, encode, type Fields } from './encoding.ts';
import { ObsCloseError } from './errors.ts';
import { expect } from './expect.ts';
import type { ObsConn, ObsDial, Wait } from './options.ts';

/** A login over an open connection. */
export interface Login<T> {
  /** The subprotocols to offer. */
  readonly subprotocols?: readonly string[];
  /** What the login waits for, for the message of a TimeoutError. */
  readonly waitsFor: string;
  readonly run: (conn: ObsConn) => Promise<T>;
}

/**
 * Dials `url` and logs in, within the bounds of `wait`. The connection ends when the login fails.
 *
 * @throws (rejects) the error of the dial or of the login, a TimeoutError, the reason of the signal.
 */
export function open<T>(
  url: string | URL,
  dial: ObsDial,
  wait: Wait,
  { waitsFor, run, ...offer }: Login<T>,
): Promise<T> {
  const scope = new AbortController();
  let conn: ObsConn | undefined;
  const login = async (): Promise<T> => {
    conn = await dial(String(url), { signal: scope.signal, ...offer });
    expect(typeof conn?.receive === 'function', 'dial', 'a promise of a connection', conn);
    // The dial has ended after the wait.
    if (scope.signal.aborted) conn.terminate();
    return run(conn);
  };
  return bounded(
    wait,
    () => `${String(url)}: no ${conn === undefined ? 'connection' : waitsFor}`,
    (resolve, reject) => {
      login().then(resolve, reject);
    },
    (reason) => {
      if (reason === undefined) return;
      scope.abort(reason);
      conn?.terminate?.();
    },
  );
}

/**
 * Sends `fields`, if any, and reads the next message of the login.
 *
 * @throws (rejects) ObsCloseError when the connection ends; ObsProtocolError; the error of the
 *   encoding.
 */
export async function exchange(
  conn: ObsConn,
  encoding: Encoding | undefined,
  fields?: Fields,
): Promise<Fields> {
  let message: Message;
  try {
    if (fields !== undefined) await conn.send(encode(fields, encoding));
    message = await conn.readMessage();
  } catch (error) {
    if (!(error instanceof WebSocketError)) throw error;
    throw new ObsCloseError(await conn.closed);
  }
  return decode(message, encoding);
}
