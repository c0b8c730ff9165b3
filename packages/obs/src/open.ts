import { type Message, ReadPendingError, WebSocketError } from '@ws/conn';
import { rejected } from '@ws/conn/internal';
import { decode, type Encoding, encode, type Fields } from './encoding.ts';
import { ObsCloseError } from './errors.ts';
import { expect, type ObsConn, type ObsDial, type Wait } from './options.ts';
import { Waits } from './waits.ts';

/** What the login waits for, for the message of a TimeoutError. */
const HELLO_OF = 'Hello of obs-websocket 5 (update an OBS before 28)';

/** How to connect and log in. */
export interface Plan<T> {
  readonly url: string | URL;
  readonly dial: ObsDial;
  readonly readLimit: number | false;
  readonly wait: Wait;
  /** The subprotocol to offer. */
  readonly subprotocol: string;
  /** Logs in over an open connection. */
  readonly login: (conn: ObsConn) => Promise<T>;
}

/**
 * Dials `url` and logs in, within the bounds of `wait`. The connection ends when the login fails.
 *
 * @throws (rejects) the error of the dial or of the login, a TimeoutError, the reason of the signal.
 */
export async function open<T>({
  url,
  dial,
  readLimit,
  wait,
  subprotocol,
  login,
}: Plan<T>): Promise<T> {
  if (wait.signal?.aborted) await rejected(wait.signal.reason, wait.signal);
  const scope = new AbortController();
  const waits = new Waits();
  const target = String(url);
  let conn: ObsConn | undefined;
  const connect = async (): Promise<T> => {
    conn = await dial(target, {
      signal: scope.signal,
      subprotocols: [subprotocol],
      readLimit,
    });
    expect(typeof conn?.receive === 'function', 'dial', 'a promise of a connection', conn);
    // The dial has ended after the wait.
    if (scope.signal.aborted) conn.terminate();
    return login(conn);
  };
  const opened = waits.add(
    '',
    wait,
    // A query may have a secret.
    () => `${target.split('?')[0]}: no ${conn === undefined ? 'connection' : HELLO_OF}`,
    (result: T) => result,
  );
  connect().then(
    (result) => waits.settle('', result),
    (error: unknown) => waits.reject('', error),
  );
  try {
    return await opened;
  } catch (error) {
    scope.abort(error);
    conn?.terminate?.();
    throw error;
  } finally {
    // Clears the timer.
    waits.end();
  }
}

/**
 * Sends `fields`, if any, and reads the next message of the login.
 *
 * @throws (rejects) ObsCloseError when the connection ends; ObsProtocolError; ReadPendingError when
 *   the function `dial` reads; the error of the encoding.
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
    const isEnd = error instanceof WebSocketError && !(error instanceof ReadPendingError);
    if (!isEnd) throw error;
    // A peer that keeps TCP open would use up the time of the login.
    conn.terminate();
    throw new ObsCloseError(await conn.closed);
  }
  return decode(message, encoding);
}
