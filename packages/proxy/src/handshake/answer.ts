import { parseExtensions, parseTokenList, type ResponseHead } from '@ws/codec';
import { acceptKey } from '@ws/node-server/internal';

/** What the request to a target has offered. */
export interface Offer {
  readonly key: string;
  /** The value of `Sec-WebSocket-Protocol`; `''` for none. */
  readonly subprotocols: string;
  /** The value of `Sec-WebSocket-Extensions`; `''` for none. */
  readonly extensions: string;
}

/**
 * Returns why the 101 of a target is not a valid handshake; undefined when it is. Only then a tunnel
 * may be open (RFC 6455, section 4.1, the list after "the client MUST validate").
 */
export function faultOf(head: ResponseHead, offer: Offer): string | undefined {
  if (head.minor !== 1) return 'its 101 is not HTTP/1.1';
  if (!head.wantsWebSocket || head.once('upgrade')?.toLowerCase() !== 'websocket') {
    return 'its 101 has not Upgrade: websocket and Connection: upgrade';
  }
  if (head.once('sec-websocket-accept') !== acceptKey(offer.key)) {
    return 'its Sec-WebSocket-Accept does not match the key';
  }
  return subprotocolFault(head, offer) ?? extensionsFault(head, offer);
}

function subprotocolFault(head: ResponseHead, offer: Offer): string | undefined {
  const lines = head.lines('sec-websocket-protocol');
  if (lines.length === 0) return undefined;
  const offered = parseTokenList(offer.subprotocols) ?? [];
  if (lines.length === 1 && offered.includes(lines[0]!)) return undefined;
  return 'its Sec-WebSocket-Protocol was not offered';
}

/** The names must have been offered. The parameters are between the client and the target. */
function extensionsFault(head: ResponseHead, offer: Offer): string | undefined {
  if (!head.has('sec-websocket-extensions')) return undefined;
  const accepted = parseExtensions(head.list('sec-websocket-extensions'));
  const offered = parseExtensions(offer.extensions) ?? [];
  const names = new Set(offered.map(({ name }) => name));
  if (accepted?.every(({ name }) => names.has(name))) return undefined;
  return 'its Sec-WebSocket-Extensions were not offered';
}
