import {
  type Conn,
  type ConnLike,
  type Platform,
  type PreparedMessage,
  portablePlatform,
  TextMessage,
} from '@ws/conn';
import { type ConnInternals, internalsOf, limitRate as limit } from '@ws/conn/internal';

// The calls of the hub to a connection. A ConnLike that is no Conn, such as a connection of
// `@ws/fetch`, cannot share frames. It gets each message by `writeMessage`.

/** The decoded texts of prepared messages, so that a message is not decoded once for each member. */
const texts = /* @__PURE__ */ new WeakMap<PreparedMessage, string>();

export function platformOf(conn: ConnLike): Platform {
  return internalsOf(conn).platform ?? portablePlatform;
}

/** @throws TypeError for a ConnLike that is no Conn, because its reading cannot be paused. */
export function limitRate(conn: ConnLike, plan: Parameters<typeof limit>[1]): void {
  if (internalsOf(conn).platform === undefined) {
    throw new TypeError('rate: only a Conn of this process has it');
  }
  limit(conn as Conn, plan);
}

/**
 * As `ConnInternals.sendPrepared`, also for a ConnLike that is no Conn.
 *
 * @param session - `lostMessage` is called when such a ConnLike refuses the message after this call.
 */
export function sendPrepared(
  conn: ConnLike,
  internals: ConnInternals,
  message: PreparedMessage,
  waited: boolean,
  session: { lostMessage(): void },
): boolean {
  if (internals.sendPrepared !== undefined) return internals.sendPrepared(message, waited);
  if (conn.state !== 'open') return false;
  const { type, bytes } = message;
  const data = type === TextMessage ? decoded(message) : bytes;
  // Any other error comes with the end of the connection, and `conn.closed` has the reason.
  conn.writeMessage(type, data).catch(({ code }: { readonly code?: unknown }) => {
    if (code === 'WS_ERR_BACKPRESSURE') session.lostMessage();
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

/** Calls `onPong` after each pong. Does nothing for a connection that reports no pongs. */
export function watchPongs(
  conn: ConnLike & Partial<Pick<Conn, 'setPongHandler'>>,
  onPong: () => void,
): void {
  try {
    conn.setPongHandler?.(onPong);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'WS_ERR_UNSUPPORTED') throw error;
  }
}
