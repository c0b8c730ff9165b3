import { BlockList, isIP, isIPv6 } from 'node:net';
import { inspect } from 'node:util';
import type { RequestFacts } from '@ws/codec';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import { serverFault, unexpectedResult } from '../errors.ts';
import type { Responder } from '../responder/responder.ts';

/**
 * Returns the address of the client that sent a request; undefined for a client that is not
 * counted. It is synchronous. Any string is allowed, a user name for example. Throwing refuses the
 * request with 500.
 */
export type ClientAddress<Req = HandshakeRequest> = (req: Req) => string | undefined;

/**
 * Finds the address of the client that sent a request. Undefined for a Unix socket, or if
 * `clientAddress` returns undefined.
 *
 * @throws HandshakeError 500 when `clientAddress` throws or returns no string; TransportError for a
 *   client that has disconnected.
 */
export type FindAddress = (request: {
  readonly req: AppRequest;
  readonly facts: RequestFacts;
  readonly responder: Responder;
}) => string | undefined;

/** Finds addresses by the option `clientAddress`. */
export function addressByOption(clientAddress: ClientAddress<AppRequest>): FindAddress {
  return ({ req }) => {
    try {
      const address: unknown = clientAddress(req);
      if (address === undefined || typeof address === 'string') return address;
      throw unexpectedResult('clientAddress', 'a string or undefined', address);
    } catch (cause) {
      throw serverFault('clientAddress', cause);
    }
  };
}

/**
 * The peer of the socket; undefined for a Unix socket.
 *
 * @throws TransportError after a reset: the system has forgotten the address, so the request would
 *   not count.
 */
function peerAddress({ facts, responder }: Parameters<FindAddress>[0]): string | undefined {
  // Other code that parsed the request may not know the address.
  return facts.remoteAddress ?? responder.peerAddress;
}

/**
 * Which proxies may name the client in `X-Forwarded-For`: none, a number of proxies in a row, or
 * the addresses of the proxies.
 */
export type TrustProxy = false | number | BlockList;

/** Whether a hop is one of the server's own proxies. Hop 0 is the peer of the socket. */
type Trusts = (address: string | undefined, hop: number) => boolean;

const IPV4_PORT = /^([0-9.]+):[0-9]{1,5}$/;
const IPV6_PORT = /^\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?$/;

/**
 * Makes a function that finds the client's address behind proxies. It reads `X-Forwarded-For` from
 * the right, because a client can write anything on its left. It stops at the first address that is
 * no trusted proxy, at an entry that is no IP address, and at the start of the list.
 *
 * @throws TypeError or RangeError for another value.
 */
export function forwardedAddress(trust: TrustProxy): FindAddress {
  if (trust === false) return peerAddress;
  const trusts = trustsOf(trust);
  return (request) => {
    const entries = forwardedFor(request.facts);
    let address = peerAddress(request);
    for (let hop = 0; trusts(address, hop); hop++) {
      const next = parseAddress(entries.at(-1 - hop) ?? '');
      if (next === undefined) break;
      address = next;
    }
    return address;
  };
}

function trustsOf(trust: unknown): Trusts {
  if (trust instanceof BlockList) {
    // Undefined: the peer of a Unix socket.
    return (address) => address === undefined || lists(trust, address);
  }
  if (typeof trust !== 'number') {
    throw new TypeError(
      `trustProxy: expected false, a number of proxies or a BlockList, got ${inspect(trust)}`,
    );
  }
  if (!Number.isSafeInteger(trust) || trust < 1) {
    throw new RangeError(
      `trustProxy: expected a whole number of 1 or more, or false for none, got ${trust}`,
    );
  }
  return (_, hop) => hop < trust;
}

function lists(list: BlockList, address: string): boolean {
  // An IPv6 address may end in `%` and its zone.
  const [bare = ''] = address.split('%', 1);
  return list.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4');
}

/** Returns the entries of every `X-Forwarded-For` line, from left to right. */
function forwardedFor(facts: RequestFacts): string[] {
  return facts.lines('x-forwarded-for').flatMap((line) => line.split(','));
}

/** Reads an IP address, with or without a port. Some proxies add one. */
function parseAddress(entry: string): string | undefined {
  const text = entry.trim();
  const address = (IPV4_PORT.exec(text) ?? IPV6_PORT.exec(text))?.[1] ?? text;
  return isIP(address) === 0 ? undefined : address;
}
