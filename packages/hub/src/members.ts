import {
  Conn,
  type ConnLike,
  type Platform,
  type PreparedMessage,
  portablePlatform,
  TextMessage,
} from '@ws/conn';
import * as ofConn from '@ws/conn/internal';

// What the hub asks of a connection. One that is no Conn, of `@ws/fetch` for example, gets each message
// by its own `writeMessage`: it shares no frames with others.

/** The texts of prepared messages: each member would decode its own. */
const texts = /* @__PURE__ */ new WeakMap<PreparedMessage, string>();

export function platformOf(conn: ConnLike): Platform {
  return conn instanceof Conn ? ofConn.platformOf(conn) : portablePlatform;
}

/** @throws TypeError for a connection that cannot stop reading. */
export function limitRate(conn: ConnLike, plan: ofConn.RatePlan): void {
  if (!(conn instanceof Conn)) throw new TypeError('rate: only a Conn of this process has it');
  ofConn.limitRate(conn, plan);
}

/** See `Writer.untilWritable`. */
export function untilWritable(conn: ConnLike): Promise<void> | undefined {
  return conn instanceof Conn
    ? ofConn.untilWritable(conn)
    : ofConn.internalsOf(conn).untilWritable();
}

/** See `sendPrepared` of `@ws/conn`. */
export function sendPrepared(conn: ConnLike, message: PreparedMessage, waited: boolean): boolean {
  if (conn instanceof Conn) return ofConn.sendPrepared(conn, message, waited);
  if (conn.state !== 'open') return false;
  const { type, bytes } = message;
  const data = type === TextMessage ? textOf(message) : bytes;
  // `closed` tells how the connection has ended.
  conn.writeMessage(type, data).catch(() => {});
  return true;
}

function textOf(message: PreparedMessage): string {
  let text = texts.get(message);
  if (text === undefined) {
    text = portablePlatform.decodeUtf8(message.bytes, 0, message.bytes.length);
    texts.set(message, text);
  }
  return text;
}

/** See `sendRun` of `@ws/conn`. */
export function sendRun(conn: ConnLike, messages: readonly PreparedMessage[]): boolean {
  return conn instanceof Conn && ofConn.sendRun(conn, messages);
}

/** See `Writer.encodesElsewhere`. */
export function encodesElsewhere(conn: ConnLike, size: number): boolean {
  return conn instanceof Conn && ofConn.encodesElsewhere(conn, size);
}

/** See `Writer.awaitsWriter`. */
export function awaitsWriter(conn: ConnLike, size: number): boolean {
  return conn instanceof Conn && ofConn.awaitsWriter(conn, size);
}

/** See `Connection.observeWrites`. The hub asks another connection at each message. */
export function observeWrites(conn: ConnLike, observer: (conn: Conn) => void): void {
  if (conn instanceof Conn) ofConn.observeWrites(conn, observer);
}

/** Whether the connection drops the messages that arrive. */
export function dropsInput(conn: ConnLike): boolean {
  return conn instanceof Conn && ofConn.dropsInput(conn);
}

/** Calls `called` with the round trips of pings, on a connection that has them. */
export function watchPongs(
  conn: ConnLike & Partial<Pick<Conn, 'setPongHandler'>>,
  called: () => void,
): void {
  try {
    conn.setPongHandler?.(called);
  } catch (error) {
    // An UnsupportedError.
    if (conn instanceof Conn) throw error;
  }
}
