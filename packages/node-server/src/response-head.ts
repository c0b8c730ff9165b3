import { STATUS_CODES } from 'node:http';
import { acceptKey } from '@ws/http-shared';
import type { HeaderPair } from './errors.ts';

/**
 * Formats the 101 response that accepts a handshake, up to and including its empty line.
 *
 * @param extra - The application's headers; a `Sec-WebSocket-Protocol` among them is left out.
 * @see RFC 6455, section 4.2.2
 */
export function switchingProtocols(
  key: string,
  subprotocol: string,
  extensions: string,
  extra: readonly HeaderPair[],
): string {
  const fields: HeaderPair[] = [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', acceptKey(key)],
  ];
  if (subprotocol !== '') fields.push(['Sec-WebSocket-Protocol', subprotocol]);
  if (extensions !== '') fields.push(['Sec-WebSocket-Extensions', extensions]);
  const rest = extra.filter(([name]) => name.toLowerCase() !== 'sec-websocket-protocol');
  return responseHead(101, [...fields, ...rest]);
}

/** Formats a status line and header fields, up to and including the empty line. */
export function responseHead(status: number, fields: readonly HeaderPair[]): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${lines.join('')}\r\n`;
}
