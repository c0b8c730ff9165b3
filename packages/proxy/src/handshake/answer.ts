import type { Duplex } from 'node:stream';
import {
  type HandshakeOffer,
  parseExtensions,
  parseTokenList,
  type ResponsePart,
  responseRules,
} from '@ws/codec';
import type { FinalHead } from '@ws/node-client/internal';
import { acceptKeyByCrypto } from '@ws/node-io/internal';

/** The answer of a target. */
export interface TargetAnswer {
  /** Carries the connection, or the body of a refusal. */
  readonly stream: Duplex;
  readonly head: FinalHead;
  /** The bytes that came with the head: the first frames, or the start of a body. */
  readonly rest: Buffer;
}

/** What the request to a target has offered. */
export interface Offer {
  /** Not sent over HTTP/2. */
  readonly key: string;
  /** The value of `Sec-WebSocket-Protocol`; `''` for none. */
  readonly subprotocols: string;
  /** The value of `Sec-WebSocket-Extensions`; `''` for none. */
  readonly extensions: string;
}

const NO_UPGRADE = 'its 101 has not Upgrade: websocket and Connection: upgrade';

/**
 * What the 101 of a target gets wrong, by the part that breaks a rule. The parameters of extensions
 * are between the client and the target.
 */
const FAULTS: Readonly<Partial<Record<ResponsePart, string>>> = {
  version: 'its 101 is not HTTP/1.1',
  upgrade: NO_UPGRADE,
  connection: NO_UPGRADE,
  accept: 'its Sec-WebSocket-Accept does not match the key',
  extensions: 'its Sec-WebSocket-Extensions were not offered',
  subprotocol: 'its Sec-WebSocket-Protocol was not offered',
};

/**
 * Returns why an answer that accepts is not a valid handshake; undefined when it is. Only then a tunnel
 * may be open.
 */
export function faultOf(head: FinalHead, offer: Offer): string | undefined {
  const offered: HandshakeOffer = {
    accept: acceptKeyByCrypto(offer.key),
    subprotocols: parseTokenList(offer.subprotocols) ?? [],
    extensions: parseExtensions(offer.extensions) ?? [],
  };
  const broken = responseRules.find(({ part, fault }) => {
    return FAULTS[part] !== undefined && fault(head, offered) !== undefined;
  });
  return broken && FAULTS[broken.part];
}
