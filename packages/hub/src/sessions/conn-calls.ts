import {
  type Conn,
  type ConnLike,
  type Platform,
  type PreparedMessage,
  portablePlatform,
  TextMessage,
} from '@ws/conn';
import { type ConnInternals, internalsOf, limitRate as limit } from '@ws/conn/internal';

// The calls of the hub to a connection. A ConnLike that is no Conn, such as one of `@ws/fetch`,
// gets each message by its `writeMessage`, because it shares no frames with others.

/** The texts of prepared messages. Each member would decode its own. */
const texts = /* @__PURE__ */ new WeakMap<PreparedMessage, string>();

export function platformOf(conn: ConnLike): Platform {
  return internalsOf(conn).platform ?? portablePlatform;
}

/** @throws TypeError for a connection that cannot stop reading. */
export function limitRate(conn: ConnLike, plan: Parameters<typeof limit>[1]): void {
  if (internalsOf(conn).platform === undefined) {
    throw new TypeError('rate: only a Conn of this process has it');
  }
  limit(conn as Conn, plan);
}

/**
 * See `ConnInternals.sendPrepared`.
 *
 * @param lost - Called when a connection that is no Conn has refused the message later.
 */
export function sendPrepared(
  conn: ConnLike,
  internals: ConnInternals,
  message: PreparedMessage,
  waited: boolean,
  lost: { lostMessage(): void },
): boolean {
  if (internals.sendPrepared !== undefined) return internals.sendPrepared(message, waited);
  if (conn.state !== 'open') return false;
  const { type, bytes } = message;
  const data = type === TextMessage ? decoded(message) : bytes;
  // `closed` tells how the connection has ended.
  conn.writeMessage(type, data).catch(({ code }: { readonly code?: unknown }) => {
    if (code === 'WS_ERR_BACKPRESSURE') lost.lostMessage();
  });
  return true;
}

function decoded(message: PreparedMessage): string {
  let text = texts.get(message);
  if (text === undefined) {
    text = portablePlatform.decodeUtf8(message.bytes, 0, message.bytes.length);
    texts.set(message, text);
  }
  return text;
}

/** Calls `called` with the round trips of pings, on a connection that has them. */
export function watchPongs(
  conn: ConnLike & Partial<Pick<Conn, 'setPongHandler'>>,
  called: () => void,
): void {
  try {
    conn.setPongHandler?.(called);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'WS_ERR_UNSUPPORTED') throw error;
  }
}
