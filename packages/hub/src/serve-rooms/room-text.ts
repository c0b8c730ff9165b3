import type { Message } from '@ws/conn';
import type { Position } from '../position.ts';

// A message of a room is JSON, or begins as no JSON does: `@`, the id of a client's publication,
// `:` and its JSON; or `!` and a text that members get unchanged. A node that does not know a form
// reports a gap.

const AS_IS = '!';
const WITH_ID = /^@([\w-]{22,36}):/;

/** The message of a client's publication. `json` is JSON text. */
export function keptText(id: string, json: string): string {
  return `@${id}:${json}`;
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
    const what = (cause as Error).message;
    throw new TypeError(`room ${JSON.stringify(room)}: publish JSON: ${what}`, { cause });
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
  const [prefix = '', id] = WITH_ID.exec(text) ?? [];
  const json = text.slice(prefix.length);
  // Another text would make the event unreadable, and its loss would be silent.
  JSON.parse(json);
  const more = `${field('position', position)}${field('id', id)},"data":${json}`;
  return eventText('room.message', `"room":${JSON.stringify(room)}${more}`);
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
