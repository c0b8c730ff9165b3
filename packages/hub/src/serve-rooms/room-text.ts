import type { Message } from '@ws/conn';
import type { Position } from '../position.ts';

// The text of a message of a room, as the history and other nodes have it:
//
// - JSON, from the application.
// - `@id:json`, from a client. `id` is the id of its publication.
// - `#id:length:from json`, without the space: as above, with the JSON `from` of the option `stamp`,
//   which has `length` UTF-16 units.
// - `!text`: members get the text unchanged.
//
// A node that does not know a form reports a gap.

const AS_IS = '!';
const WITH_ID = /^(?:@([\w-]{22,36}):|#([\w-]{22,36}):(\d{1,5}):)/;

/**
 * The text of a client's message.
 *
 * @param from - The result of the option `stamp` as JSON; undefined without the option.
 */
export function keptText(id: string, json: string, from: string | undefined): string {
  return from === undefined ? `@${id}:${json}` : `#${id}:${from.length}:${from}${json}`;
}

/** The text of a message that members get unchanged. */
export function asIs(text: string): string {
  return AS_IS + text;
}

function textOf(message: Message, room: string): string {
  if (message.isText) return message.text();
  throw new TypeError(`room ${JSON.stringify(room)}: publish JSON; it has got bytes`);
}

/** The value of a message that the application publishes. */
export function valueOf(message: Message, room: string): unknown {
  const text = textOf(message, room);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { message: why } = cause as Error;
    throw new TypeError(`room ${JSON.stringify(room)}: publish JSON: ${why}`, { cause });
  }
}

/**
 * The event `room.message` for the members of a room.
 *
 * @throws TypeError for bytes; SyntaxError for a text that is no JSON.
 */
export function messageText(
  message: Message,
  room: string,
  position: Position | undefined,
): string {
  const text = textOf(message, room);
  if (text.startsWith(AS_IS)) return text.slice(AS_IS.length);
  const [prefix = '', id, stampedId, length = '0'] = WITH_ID.exec(text) ?? [];
  const start = prefix.length + Number(length);
  const from = text.slice(prefix.length, start);
  const json = text.slice(start);
  // Throws for a text that is no JSON: clients could not read the event, and no gap would report it.
  JSON.parse(json);
  if (from !== '') JSON.parse(from);
  const publisher = `${field('id', id ?? stampedId)}${from === '' ? '' : `,"from":${from}`}`;
  const more = `${field('position', position)}${publisher},"data":${json}`;
  return eventText('room.message', `"room":${JSON.stringify(room)}${more}`);
}

/** The event `room.state`. `json` is JSON text. */
export function stateText(room: string, position: Position | undefined, json: string): string {
  const more = `${field('position', position)},"data":${json}`;
  return eventText('room.state', `"room":${JSON.stringify(room)}${more}`);
}

/**
 * The event `room.gap`.
 *
 * @param joining - Whether the gap is in the messages that a join sends.
 */
export function gapText(room: string, position: Position | undefined, joining: boolean): string {
  const params = { room, position, ...(joining && { joining }) };
  return eventText('room.gap', JSON.stringify(params).slice(1, -1));
}

/** An event of JSON-RPC 2.0. `params` is the JSON of an object without its braces. */
export function eventText(method: string, params: string): string {
  return `{"jsonrpc":"2.0","method":"${method}","params":{${params}}}`;
}

function field(name: string, value: unknown): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}

/** A name within the text of an error. */
export function quoted(name: string): string {
  return JSON.stringify(name);
}
