import { STATUS_CODES } from 'node:http';
import { acceptKey } from '@ws/node-io/internal';
import type { HeaderPair } from './errors.ts';

/** The variable parts of a 101. */
interface SwitchingParts {
  readonly key: string;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly headers: readonly HeaderPair[];
}

/** The head of a 101, up to the value of `Sec-WebSocket-Accept`. */
const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ';

/**
 * Formats the 101 response that accepts a handshake, up to and including its empty line.
 *
 * @param parts - `headers`: the application's; a `Sec-WebSocket-Protocol` among them is left out.
 * @see RFC 6455, section 4.2.2
 */
export function switchingProtocols({
  key,
  subprotocol,
  extensions,
  headers,
}: SwitchingParts): string {
  let head = `${SWITCHING}${acceptKey(key)}\r\n`;
  if (subprotocol !== '') head += `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
  if (extensions !== '') head += `Sec-WebSocket-Extensions: ${extensions}\r\n`;
  if (headers.length > 0) head += applicationLines(headers);
  return `${head}\r\n`;
}

function applicationLines(headers: readonly HeaderPair[]): string {
  return linesOf(headers.filter(([name]) => name.toLowerCase() !== 'sec-websocket-protocol'));
}

/** Formats header fields, each with its line end. */
export function linesOf(fields: readonly HeaderPair[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}

/** Formats a status line and header fields, up to and including the empty line. */
export function responseHead(status: number, fields: readonly HeaderPair[]): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${linesOf(fields)}\r\n`;
}
