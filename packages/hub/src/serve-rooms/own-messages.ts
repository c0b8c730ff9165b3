import type { PreparedMessage, StandardSchema } from '@ws/conn';
import { formatJSON } from '@ws/conn/internal';
import type { Definitions, Named } from '@ws/rpc';
import { check, misfit } from '@ws/rpc/internal';
import { eventNameOf, prepare } from '../arguments.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { quoted, valueOf } from './room-text.ts';

/**
 * Checks a message that the application publishes. `RoomServer` checks messages of clients.
 *
 * @param events - The events that the application's contract has for clients.
 * @returns The message to publish.
 */
export function acceptedMessage<Data>(
  { rooms }: Sessions<Data>,
  events: Named<Definitions>,
  message: PreparedMessage,
  { room, schema }: { readonly room: string; readonly schema: StandardSchema | undefined },
): PreparedMessage {
  const value = valueOf(rooms.toMessage(message), room);
  const event = eventOf(value, events);
  if (event !== undefined) {
    throw new TypeError(
      `room ${quoted(room)}: the text of the event ${event} is no message; write rooms.emit(room, contract.client.${event}, value)`,
    );
  }
  if (schema === undefined) return message;
  const result = check(schema, value);
  // To wait for an asynchronous schema would change the order of publications. Such a schema checks
  // only messages of clients.
  if (result instanceof Promise) {
    result.catch(() => {});
    return message;
  }
  const { issues } = result;
  if (issues !== undefined) {
    throw misfit(`room ${quoted(room)}: the message does not fit its schema`, issues);
  }
  return prepare(formatJSON(result.value), 'publish');
}

/** The name of the event, if `value` is an event of the contract, as text or as a parsed object. */
function eventOf(value: unknown, events: Named<Definitions>): string | undefined {
  if (typeof value === 'string') return eventNameOf(value, events);
  const { jsonrpc, method } = Object(value) as { jsonrpc?: unknown; method?: unknown };
  return jsonrpc === '2.0' && typeof method === 'string' ? method : undefined;
}

/**
 * Checks a message of the application to a room that is not in the table. Clients cannot join such a
 * room. Without a member on this node, its name is a mistake.
 */
export function messageOutside<Data>(
  sessions: Sessions<Data>,
  message: PreparedMessage,
  room: string,
): PreparedMessage {
  if (sessions.membersOf(room).size > 0) return message;
  throw new TypeError(
    `publish: no key of the table fits ${quoted(room)}, and no session of this node is in it`,
  );
}
