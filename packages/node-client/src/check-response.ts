import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import {
  acceptDeflate,
  type DeflateParameters,
  type Extension,
  hasToken,
  type ProtocolError,
  parseExtensions,
} from '@ws/codec';
import { quote } from './errors.ts';
import type { Answer } from './exchange.ts';
import { valuesOf } from './raw-headers.ts';
import type { HandshakeRequest } from './request.ts';

/** The part of an answer that is checked. */
export type CheckedAnswer = Pick<Answer, 'status' | 'httpVersion' | 'rawHeaders'>;
/** The part of the request that an answer is checked against. */
export type Asked = Pick<HandshakeRequest, 'key' | 'subprotocols' | 'offer'>;

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Checks the server's answer against RFC 6455, section 4.1, the list behind "the client MUST validate".
 *
 * @returns Every fault, in the order of that list; none when the handshake stands.
 */
export function faultsOf(answer: CheckedAnswer, asked: Asked): string[] {
  const { status, rawHeaders } = answer;
  // 1: anything else is an answer of HTTP's own, and its headers are no handshake's.
  if (status !== 101) return [`the server answered ${named(status)}, not 101`];

  const faults: string[] = [];
  // 4.2.2: the status line is HTTP/1.1's; a 101 of an older version means nothing (RFC 9110, section 15.2).
  if (answer.httpVersion !== '1.1') faults.push(`HTTP/${answer.httpVersion}, not HTTP/1.1`);
  // 2: the value itself, not one of a list.
  const upgrade = valuesOf(rawHeaders, 'upgrade');
  if (upgrade.length === 0) faults.push('no Upgrade header');
  else if (upgrade.length > 1) faults.push('more than one Upgrade header');
  else if (upgrade[0]!.toLowerCase() !== 'websocket') {
    faults.push(`Upgrade is ${quote(upgrade[0]!)}, not websocket`);
  }
  // 3
  const connection = valuesOf(rawHeaders, 'connection');
  if (connection.length === 0) faults.push('no Connection header');
  else if (!hasToken(connection.join(','), 'upgrade')) {
    faults.push(`Connection is ${quote(connection.join(', '))}, without upgrade`);
  }
  // 4
  const accept = valuesOf(rawHeaders, 'sec-websocket-accept');
  if (accept.length === 0) faults.push('no Sec-WebSocket-Accept header');
  else if (accept.length > 1) faults.push('more than one Sec-WebSocket-Accept header');
  else if (accept[0] !== acceptFor(asked.key)) {
    faults.push(`Sec-WebSocket-Accept is ${quote(accept[0]!)}, which does not answer our key`);
  }
  // 5
  faults.push(...extensionFaults(rawHeaders, asked.offer));
  // 6
  const protocols = valuesOf(rawHeaders, 'sec-websocket-protocol');
  if (protocols.length > 1) faults.push('more than one Sec-WebSocket-Protocol header');
  else if (protocols.length === 1 && !asked.subprotocols.includes(protocols[0]!)) {
    faults.push(`Sec-WebSocket-Protocol ${quote(protocols[0]!)} was not offered`);
  }
  return faults;
}

/** The fault of an answer that is right, but not in the eyes of Node's parser. */
export function unread({ rawHeaders }: CheckedAnswer): string {
  const shown = quote(valuesOf(rawHeaders, 'connection').join(', '));
  return `Connection is ${shown}, written in a way that Node does not read`;
}

/** The subprotocol that an answer without faults chose; `''` when it chose none. */
export function subprotocolOf(answer: CheckedAnswer): string {
  return valuesOf(answer.rawHeaders, 'sec-websocket-protocol')[0] ?? '';
}

/** What an answer without faults agreed to; undefined: nothing is compressed. */
export function deflateOf(
  answer: CheckedAnswer,
  offer: Extension | undefined,
): DeflateParameters | undefined {
  const [response] = parseExtensions(extensionsOf(answer)) ?? [];
  if (response === undefined || offer === undefined) return undefined;
  return acceptDeflate(response, offer);
}

/** The extensions that an answer names, in its own words; `''` for none. */
export function extensionsOf(answer: CheckedAnswer): string {
  return valuesOf(answer.rawHeaders, 'sec-websocket-extensions').join(', ');
}

/** RFC 6455, section 9.1: an answer names what was offered, or nothing; RFC 7692, section 7.1, for its parameters. */
function extensionFaults(rawHeaders: readonly string[], offer: Extension | undefined): string[] {
  const lines = valuesOf(rawHeaders, 'sec-websocket-extensions');
  if (lines.length === 0) return [];
  const shown = quote(lines.join(', '));
  const answered = parseExtensions(lines.join(','));
  if (offer === undefined) return [`Sec-WebSocket-Extensions ${shown} was not offered`];
  if (answered === undefined) return [`malformed Sec-WebSocket-Extensions ${shown}`];
  if (answered.length !== 1)
    return [`Sec-WebSocket-Extensions ${shown} does not name one extension`];
  try {
    acceptDeflate(answered[0]!, offer);
    return [];
  } catch (error) {
    const { faults } = error as ProtocolError;
    return [
      `Sec-WebSocket-Extensions ${shown} is no answer to our offer: ${faults.map(quote).join(', ')}`,
    ];
  }
}

/** Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2, step 5). */
function acceptFor(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/** A status with its name. The peer's own reason phrase is not shown: it may say anything. */
export function named(status: number): string {
  const phrase = STATUS_CODES[status];
  return phrase === undefined ? `${status}` : `${status} ${phrase}`;
}
