import type { Message } from '@ws/conn';
import type { Position } from '../position.ts';

// A message of a room is JSON, or begins as no JSON does: `@`, the id of a client's publication,
// `:` and the JSON of its message; `#`, the id, `:`, the length of the JSON of its publisher, `:`, that JSON and the
// JSON of the message; or `!` and a text that members get unchanged. A node that does not know a form
// reports a gap.

const AS_IS = '!';
const WITH_ID = /^(?:@([\w-]{22,36}):|#([\w-]{22,36}):(\d{1,5}):)/;

/**
 * The message of a client's publication. Both texts are JSON.
 *
 * @param from - The result of the option `stamp`; undefined without it.
 */
export function keptText(id: string, json: string, from: string | undefined): string {
  return from === undefined ? `@${id}:${json}` : `#${id}:${from.length}:${from}${json}`;
}

/** The message of a text that members get unchanged. */
export function asIs(text: string): string {
  return AS_IS + text;
}

function textOf(message: Message, room: string): string {
  if (message.isText) return message.text();
  throw new TypeError(`room ${JSON.stringify(room)}: publish JSON; it has got bytes`);
}

/** The value of a message that the server publishes. */
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
  // A text that is no JSON would make the event unreadable, and its loss would be silent.
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
 * @param joining - Whether the gap is in what a join sends.
 */
export function gapText(room: string, position: Position | undefined, joining: boolean): string {
  const params = { room, position, ...(joining && { joining }) };
  return eventText('room.gap', JSON.stringify(params).slice(1, -1));
}

/** An event of JSON-RPC 2.0. `params` is without its braces. */
export function eventText(method: string, params: string): string {
  return `{"jsonrpc":"2.0","method":"${method}","params":{${params}}}`;
}

function field(name: string, value: unknown): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}
