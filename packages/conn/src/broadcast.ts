import { TextMessage } from '@ws/codec';
import { checked, fromCaller } from '@ws/codec/internal';
import { Conn } from './conn.ts';
import {
  badType,
  checkOptionNames,
  isThenable,
  kind,
  onRejection,
  refuseCopy,
} from './validate.ts';
import { bytesOf, dataTypeOf, type MessageData } from './writing/payload.ts';
import { PreparedMessage } from './writing/prepared-message.ts';

/** Options of {@link broadcast}: the connections that get the message. */
export interface BroadcastOptions<C extends Conn = Conn> {
  /** Only connections for which this function returns true get the message. */
  readonly filter?: ((conn: C) => boolean) | undefined;
  /** Connections that do not get the message, usually the sender's. */
  readonly except?: Conn | Iterable<Conn> | undefined;
}

const BROADCAST_OPTION_NAMES = ['filter', 'except'];

/**
 * Sends one message to many connections. The bytes of the message are copied once. A slow or closed
 * connection does not delay the others. A connection with too little room below `maxBufferedAmount`
 * does not get the message.
 *
 * @param conns - Each connection gets the message once, even when it is listed twice.
 * @param data - A string is sent as text, bytes as binary. A received message and a
 *   {@link PreparedMessage} keep their type.
 * @returns Number of connections that accepted the message. `stats.messagesRefused` of a connection
 *   counts the messages that exceeded its `maxBufferedAmount`, and `report` gets the first one. An
 *   accepted message can still be lost without a report, when the connection ends before the
 *   message is sent. Await `writePreparedMessage` where that matters.
 * @throws TypeError for other data, an element that is not a Conn, or a filter that is not a
 *   function or returns a promise; an error of `filter`. Nothing is sent then.
 *
 * @example
 * ```ts
 * import { broadcast, connPair } from '@ws/conn';
 *
 * const [alice, server] = connPair();
 * const members = new Set([server]);
 * broadcast(members, 'hello all');
 * console.log((await alice.readMessage()).text()); // hello all
 * ```
 */
export function broadcast<C extends Conn>(
  conns: Iterable<C>,
  data: MessageData | PreparedMessage,
  options: BroadcastOptions<C> = {},
): number {
  const { filter, message, excluded } = checked(() => {
    if (typeof (conns as Partial<Iterable<C>> | null)?.[Symbol.iterator] !== 'function') {
      throw badType('broadcast: expected Conns, such as server.connections', conns);
    }
    return checkBroadcast(data, options);
  }, broadcast);
  const chosen: C[] = [];
  for (const conn of conns) {
    if (!(conn instanceof Conn)) {
      checked(() => refuseCopy(conn, Conn, 'broadcast'), broadcast);
      const error = badType('broadcast: expected Conns', conn);
      fromCaller(error, broadcast);
      throw error;
    }
    if (excluded?.has(conn) !== true && (filter === undefined || selects(filter, conn))) {
      chosen.push(conn);
    }
  }
  let accepted = 0;
  // A Set has no duplicates.
  for (const conn of conns instanceof Set ? chosen : new Set(chosen)) {
    const internals = conn['@ws/internals'];
    const { connection } = internals;
    if (internals.sendPrepared(message, false)) accepted++;
    else if (connection.outbox.writeEnd === undefined) {
      const { length } = message.bytes;
      // An error of this transport must not end the broadcast to the others.
      connection.guardTransport(() =>
        connection.controlOrNew().writesOrNew().skipBroadcast(length),
      );
    }
  }
  return accepted;
}

/** @throws TypeError as {@link broadcast}. */
function checkBroadcast<C extends Conn>(
  data: MessageData | PreparedMessage,
  options: BroadcastOptions<C>,
) {
  checkOptionNames('broadcast', options, BROADCAST_OPTION_NAMES, 'ignore');
  const { filter, except } = options;
  if (filter !== undefined && typeof filter !== 'function') {
    throw new TypeError(`filter: expected a function, got ${kind(filter)}`);
  }
  return { filter, message: preparedOf(data, 'broadcast'), excluded: excludedConns(except) };
}

/** @throws TypeError if `filter` returns a promise, which would select every connection. */
function selects<C extends Conn>(filter: (conn: C) => boolean, conn: C): boolean {
  const result: unknown = filter(conn);
  if (isThenable(result)) {
    onRejection(result, () => {});
    throw new TypeError('filter: expected true or false, got a promise; it must be synchronous');
  }
  return Boolean(result);
}

/**
 * Returns `data` as a PreparedMessage.
 *
 * @param method - The method that got `data`, for the error.
 * @throws TypeError for data that cannot be sent.
 */
export function preparedOf(data: MessageData | PreparedMessage, method: string): PreparedMessage {
  if (data instanceof PreparedMessage) return data;
  if (typeof data === 'string') return new PreparedMessage(TextMessage, data);
  refuseCopy(data, PreparedMessage, method);
  // Checked here, so that the error names `method`.
  bytesOf(data, method);
  return new PreparedMessage(dataTypeOf(data), data);
}

function excludedConns(except: Conn | Iterable<Conn> | undefined): Set<unknown> | undefined {
  if (except === undefined) return undefined;
  if (typeof except !== 'object' || except === null) {
    throw new TypeError(`except: expected a Conn or several, got ${kind(except)}`);
  }
  return new Set(Symbol.iterator in except ? except : [except]);
}
