import { BinaryMessage, TextMessage } from '@ws/codec';
import { Conn, sessionOf } from './conn.ts';
import type { MessageData } from './data.ts';
import { kind } from './options.ts';
import { PreparedMessage } from './prepared-message.ts';

/** Whom a {@link broadcast} leaves out. */
export interface BroadcastOptions {
  /** Sends only where this says true. */
  readonly filter?: ((conn: Conn) => boolean) | undefined;
  /** Connections that do not get it: the sender's own, as a rule. */
  readonly except?: Conn | Iterable<Conn> | undefined;
}

/**
 * Sends one message to many connections. One that is slow or gone holds up none of the others: where too much waits
 * already (`maxBufferedAmount`), the message is left out.
 *
 * @param conns - Each gets it once.
 * @param data - A string is sent as text, bytes as binary, a {@link PreparedMessage} as what it is.
 * @returns How many connections accepted it. Nobody is told what became of it there: where a connection ends before its
 *   turn has come (behind an open MessageWriter, say), it is lost. Await `writePreparedMessage` where that matters.
 * @throws TypeError for what cannot be sent, what is no Conn, or a filter that is no function; what `filter` throws.
 *   Nothing is sent then.
 */
export function broadcast(
  conns: Iterable<Conn>,
  data: MessageData | PreparedMessage,
  options: BroadcastOptions = {},
): number {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`broadcast: expected options, got ${kind(options)}`);
  }
  const { filter, except } = options;
  if (filter !== undefined && typeof filter !== 'function') {
    throw new TypeError(`filter: expected a function, got ${kind(filter)}`);
  }
  const message = data instanceof PreparedMessage ? data : prepare(data);
  const left = leftOut(except);
  const chosen: Conn[] = [];
  for (const conn of conns) {
    if (!(conn instanceof Conn))
      throw new TypeError(`broadcast: expected Conns, got ${kind(conn)}`);
    if (left?.has(conn) !== true && (filter === undefined || filter(conn))) chosen.push(conn);
  }
  let accepted = 0;
  // A Set has each once already.
  for (const conn of conns instanceof Set ? chosen : new Set(chosen))
    if (sends(conn, message)) accepted++;
  return accepted;
}

function sends(conn: Conn, message: PreparedMessage): boolean {
  const { type, bytes } = message;
  const session = sessionOf(conn);
  const { writing } = session;
  if (!writing.accepts(bytes.length)) return false;
  if (type !== TextMessage && type !== BinaryMessage) {
    void conn.writePreparedMessage(message);
    return true;
  }
  try {
    void writing.prepared(message, true);
    return true;
  } catch {
    // There is no memory for this one's compressor, say. The others get theirs.
    session.rest();
    return false;
  }
}

function prepare(data: MessageData): PreparedMessage {
  return new PreparedMessage(typeof data === 'string' ? TextMessage : typeOf(data), data);
}

function typeOf(data: Exclude<MessageData, string>): number {
  return (data as { type?: unknown } | null)?.type === TextMessage ? TextMessage : BinaryMessage;
}

function leftOut(except: Conn | Iterable<Conn> | undefined): Set<unknown> | undefined {
  if (except === undefined) return undefined;
  if (typeof except !== 'object' || except === null) {
    throw new TypeError(`except: expected a Conn or several, got ${kind(except)}`);
  }
  return new Set(Symbol.iterator in except ? except : [except]);
}
