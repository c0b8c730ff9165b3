import { STATUS_CODES } from 'node:http';
import {
  acceptDeflate,
  type DeflateParameters,
  type ExtensionOffer,
  type ProtocolError,
  parseExtensions,
} from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import { acceptKey, rawHeaderValues } from '@ws/node-io/internal';
import { quote } from './errors.ts';
import type { HttpResponse } from './exchange.ts';
import type { HandshakeRequest } from './request.ts';

/** The checked part of a response. */
export type CheckedResponse = Pick<HttpResponse, 'status' | 'httpVersion' | 'rawHeaders'>;
/** The part of the request that the response must match. */
export type CheckedRequest = Pick<HandshakeRequest, 'key' | 'subprotocols' | 'offers'>;

/**
 * Checks the server's response against RFC 6455, section 4.1, the list after "the client MUST
 * validate". The numbers in the body are those of that list.
 *
 * @returns Every fault, in the order of that list; empty when the handshake is valid.
 */
export function faultsOf(response: CheckedResponse, request: CheckedRequest): string[] {
  const { status, rawHeaders } = response;
  // 1: any other status is an ordinary HTTP response; its headers are not part of a handshake.
  if (status !== 101) return [`the server answered ${describeStatus(status)}, not 101`];

  const faults: string[] = [];
  // RFC 6455, section 4.2.2 requires HTTP/1.1. A 101 of HTTP/1.0 has no meaning (RFC 9110, section
  // 15.2).
  if (response.httpVersion !== '1.1') faults.push(`HTTP/${response.httpVersion}, not HTTP/1.1`);
  // 2: the whole value, not one element of a list.
  const upgrade = rawHeaderValues(rawHeaders, 'upgrade');
  if (upgrade.length === 0) faults.push('no Upgrade header');
  else if (upgrade.length > 1) faults.push('more than one Upgrade header');
  else if (upgrade[0]!.toLowerCase() !== 'websocket') {
    faults.push(`Upgrade is ${quote(upgrade[0]!)}, not websocket`);
  }
  // 3
  const connection = rawHeaderValues(rawHeaders, 'connection');
  if (connection.length === 0) faults.push('no Connection header');
  else if (!hasToken(connection.join(','), 'upgrade')) {
    faults.push(`Connection is ${quote(connection.join(', '))}, without upgrade`);
  }
  // 4
  const accept = rawHeaderValues(rawHeaders, 'sec-websocket-accept');
  if (accept.length === 0) faults.push('no Sec-WebSocket-Accept header');
  else if (accept.length > 1) faults.push('more than one Sec-WebSocket-Accept header');
  else if (accept[0] !== acceptKey(request.key)) {
    faults.push(`Sec-WebSocket-Accept is ${quote(accept[0]!)}, which does not match our key`);
  }
  // 5
  faults.push(...extensionFaults(rawHeaders, request.offers));
  // 6
  const protocols = rawHeaderValues(rawHeaders, 'sec-websocket-protocol');
  if (protocols.length > 1) faults.push('more than one Sec-WebSocket-Protocol header');
  else if (protocols.length === 1 && !request.subprotocols.includes(protocols[0]!)) {
    faults.push(`Sec-WebSocket-Protocol ${quote(protocols[0]!)} was not offered`);
  }
  return faults;
}

/** Returns the fault of a valid response with a tab in the line `Connection`. */
export function tabFault({ rawHeaders }: CheckedResponse): string {
  const shown = quote(rawHeaderValues(rawHeaders, 'connection').join(', '));
  return `Connection is ${shown}, and a tab hides the token from other parsers`;
}

/** Returns the subprotocol of a response without faults; `''` for none. */
export function subprotocolOf(response: CheckedResponse): string {
  return rawHeaderValues(response.rawHeaders, 'sec-websocket-protocol')[0] ?? '';
}

/**
 * Returns the compression parameters of a response without faults; undefined for no compression.
 */
export function deflateOf(
  response: CheckedResponse,
  offers: readonly ExtensionOffer[],
): DeflateParameters | undefined {
  const [accepted] = parseExtensions(extensionsOf(response)) ?? [];
  return accepted && acceptDeflate(accepted, offers);
}

/** Returns the extensions as the response lists them; `''` for none. */
export function extensionsOf(response: CheckedResponse): string {
  return rawHeaderValues(response.rawHeaders, 'sec-websocket-extensions').join(', ');
}

/**
 * A response may accept offered extensions only (RFC 6455, section 9.1; RFC 7692, section 7.1, for
 * parameters).
 */
function extensionFaults(
  rawHeaders: readonly string[],
  offers: readonly ExtensionOffer[],
): string[] {
  const lines = rawHeaderValues(rawHeaders, 'sec-websocket-extensions');
  if (lines.length === 0) return [];
  const shown = quote(lines.join(', '));
  const accepted = parseExtensions(lines.join(','));
  if (offers.length === 0) return [`Sec-WebSocket-Extensions ${shown} was not offered`];
  if (accepted === undefined) return [`malformed Sec-WebSocket-Extensions ${shown}`];
  if (accepted.length !== 1) {
    return [`Sec-WebSocket-Extensions ${shown} does not name one extension`];
  }
  try {
    acceptDeflate(accepted[0]!, offers);
    return [];
  } catch (error) {
    const { faults } = error as ProtocolError;
    return [
      `Sec-WebSocket-Extensions ${shown} does not match our offer: ${faults.map(quote).join(', ')}`,
    ];
  }
}

/**
 * Returns a status with its standard phrase. The peer's own reason phrase is not shown: it may
 * contain any text.
 */
export function describeStatus(status: number): string {
  const phrase = STATUS_CODES[status];
  return phrase === undefined ? `${status}` : `${status} ${phrase}`;
}
