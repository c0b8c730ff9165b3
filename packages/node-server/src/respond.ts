import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { HandshakeError, HeaderPair } from './errors.ts';
import { headerOf } from './headers.ts';

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The answer to a request that is accepted, up to its empty line (RFC 6455, section 4.2.2). */
export function switchingProtocols(
  key: string,
  subprotocol: string,
  extensions: string,
  extra: readonly HeaderPair[],
): string {
  const accept = createHash('sha1').update(key).update(GUID).digest('base64');
  const fields: HeaderPair[] = [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', accept],
  ];
  if (subprotocol !== '') fields.push(['Sec-WebSocket-Protocol', subprotocol]);
  if (extensions !== '') fields.push(['Sec-WebSocket-Extensions', extensions]);
  const rest = extra.filter(([name]) => name.toLowerCase() !== 'sec-websocket-protocol');
  return head(101, [...fields, ...rest]);
}

/** The whole answer to a request that is refused. */
export function refusal(error: HandshakeError, method: string | undefined): Buffer {
  const upgrades = headerOf(error.headers, 'upgrade') !== undefined;
  // RFC 9110, 7.8: a sender of Upgrade names it in Connection.
  const fields: HeaderPair[] = [['Connection', upgrades ? 'close, Upgrade' : 'close']];
  const usual: HeaderPair[] = [
    ['Date', new Date().toUTCString()],
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['X-Content-Type-Options', 'nosniff'],
    ['Sec-WebSocket-Version', '13'],
  ];
  for (const pair of usual) {
    if (headerOf(error.headers, pair[0].toLowerCase()) === undefined) fields.push(pair);
  }
  // RFC 9110, 15.4.5 and 9.3.2: a 304 has no content, and the answer to HEAD only its length.
  const body = error.status === 304 ? undefined : Buffer.from(error.body);
  if (body !== undefined) fields.push(['Content-Length', String(body.length)]);
  const text = head(error.status, [...fields, ...error.headers]);
  const sent = method === 'HEAD' || body === undefined ? [] : [body];
  return Buffer.concat([Buffer.from(text, 'latin1'), ...sent]);
}

function head(status: number, fields: readonly HeaderPair[]): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${lines.join('')}\r\n`;
}
