import { type ClientConn, type CloseInfo, type Conn, Dialer, reconnecting } from '@ws/node-client';
import { dialOptions } from './dial-options.ts';
import { dialFailure } from './failure.ts';
import type { Values } from './options.ts';

/** Milliseconds between two looks at a connection that closes. */
const WATCH = 1_000;
/** Seconds of silence after which a peer that owes its close frame is given up. */
const SILENT = 5;
/** The longest time that a timer can wait. */
const LONGEST = 2 ** 31 - 1;

/**
 * The connections of a command, one after the other: one, or any number with `--reconnect`.
 *
 * @param notice - Gets the failed dials of `--reconnect`.
 * @throws Failure for a failed dial.
 */
export async function* connections(
  url: string,
  values: Values,
  signal: AbortSignal,
  notice: (text: string) => void,
): AsyncGenerator<ClientConn, void, undefined> {
  const { headers, ...dialer } = dialOptions(values);
  // The self-test of the shared buffer opens two connections, and one connection gains little. Without
  // it the bytes are 'data' events, which `wsx trace` hears too.
  const options = { ...dialer, readBuffer: false };
  try {
    if (values.reconnect !== true) {
      yield await new Dialer(options).dial(url, { headers, signal });
      return;
    }
    yield* reconnecting(url, {
      ...options,
      headers,
      signal,
      retry: (error, { delay }) => {
        notice(`${(error as Error).message}; next try within ${Math.ceil(delay / 1000)} s`);
        return undefined;
      },
    });
  } catch (error) {
    throw signal.aborted ? error : dialFailure(error);
  }
}

/**
 * Closes a connection, however long the peer's last messages take. It gives up when the peer owes its
 * close frame and has sent nothing for 5 s.
 *
 * @param isBlocked - Whether this end does not read, because of a slow reader of stdout.
 */
export async function closeGently(
  conn: Conn,
  code = 1000,
  reason = '',
  isBlocked: () => boolean = () => false,
): Promise<CloseInfo> {
  let bytes = -1;
  let silent = 0;
  const timer = setInterval(() => {
    const { bytesIn, bytesOut } = conn.stats;
    const moved = bytesIn + bytesOut - conn.bufferedAmount;
    silent = moved !== bytes || isBlocked() ? 0 : silent + 1;
    bytes = moved;
    if (silent >= SILENT) conn.terminate();
  }, WATCH);
  try {
    return await conn.close(code, reason, { timeout: LONGEST });
  } finally {
    clearInterval(timer);
  }
}
