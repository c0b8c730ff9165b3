import { randomFillSync } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import {
  type ExtensionOffer,
  formatRequest,
  type HandshakeOffer,
  offerDeflate,
  parseTokenList,
} from '@ws/codec';
import { deflateLimits, kind } from '@ws/conn/internal';
import { nodeDeflate, nodePlatform } from '@ws/node-io';
import { type HeaderEntries, headerEntries } from '@ws/node-io/internal';
import type { Target } from './url.ts';

/**
 * Headers of a request: an object, a Map, a `Headers`, or pairs. A list as a value is sent as
 * several lines. A value that is undefined is skipped.
 */
export type HeadersInput = HeaderEntries<undefined>;

/** The request of an opening handshake (RFC 6455, section 4.1). */
export interface PreparedRequest extends Omit<HandshakeOffer, 'accept'> {
  readonly target: Target;
  /** Sec-WebSocket-Key: 16 random bytes in base64. */
  readonly key: string;
  /** The request as sent, in Latin-1, without the empty line: cookies come after it. */
  readonly text: string;
  /** The caller's headers. */
  readonly callerHeaders: readonly (readonly [string, string])[];
  /** The subprotocols of the option. A header may offer others. */
  readonly subprotocolOption: readonly string[];
  /** Whether the caller gave a Cookie header. It replaces the jar's cookies. */
  readonly hasCookie: boolean;
}

/** Headers that only the handshake may set. */
const HANDSHAKE_HEADERS: ReadonlySet<string> = new Set([
  'upgrade',
  'connection',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
]);

/** Headers that announce a body: the server would read the first frames as the body. */
const BODY_HEADERS: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'expect',
  'trailer',
]);

const PROTOCOL = 'sec-websocket-protocol';

/**
 * Makes the request for one dial, with a new random key.
 *
 * @throws TypeError for a header that is malformed, or that the caller may not set; SyntaxError
 *   for a subprotocol that is not a token, or is listed twice.
 */
export function makeRequest(
  target: Target,
  headers: HeadersInput,
  subprotocols: readonly string[],
  extensions: readonly ExtensionOffer[] = [],
): PreparedRequest {
  const own = readHeaders(headers);
  const hosts = own.filter(([name]) => name.toLowerCase() === 'host');
  if (hosts.length > 1) throw new TypeError('headers: Host is given twice');
  const key = newKey();
  let offered = subprotocols;
  const byHand = own.filter(([name]) => name.toLowerCase() === PROTOCOL).map(([, value]) => value);
  if (byHand.length > 0) {
    if (subprotocols.length > 0) {
      throw new TypeError('headers: Sec-WebSocket-Protocol is set by the option subprotocols');
    }
    const tokens = parseTokenList(byHand.join(', '));
    if (tokens === undefined) {
      throw new SyntaxError('headers: Sec-WebSocket-Protocol is not a list of tokens');
    }
    offered = checkSubprotocols(tokens);
  }
  // The caller's Host changes the header only. The URL decides where to connect and which
  // certificate to expect.
  const host = hosts[0]?.[1] ?? target.host;
  const handshake = formatRequest(target.path, host, key, { subprotocols, extensions });
  // formatRequest takes ASCII values only. The checked lines of the caller may have Latin-1, as in
  // node:http.
  const lines = own
    .filter(([name]) => name.toLowerCase() !== 'host')
    .map(([name, value]) => headerLine(name, value));
  const hasCookie = own.some(([name]) => name.toLowerCase() === 'cookie');
  return {
    target,
    key,
    text: handshake.slice(0, -'\r\n'.length) + lines.join(''),
    callerHeaders: own,
    subprotocolOption: subprotocols,
    subprotocols: offered,
    extensions,
    hasCookie,
  };
}

/** Bytes of a key. */
const KEY_SIZE = 16;
/** Random bytes for 128 keys. Node 20 needs 15 µs for 16 bytes, and as long for all of these. */
const random: Buffer = Buffer.alloc(128 * KEY_SIZE);
/** Bytes of {@link random} that are not used yet. */
let unused = 0;

/** Makes a value for Sec-WebSocket-Key. */
function newKey(): string {
  if (unused === 0) unused = randomFillSync(random).length;
  const end = unused;
  unused -= KEY_SIZE;
  return random.toString('base64', unused, end);
}

/** Formats a checked header line. */
export function headerLine(name: string, value: string): string {
  return `${name}: ${value}\r\n`;
}

/** Checks the caller's headers and returns one pair for each line. */
function readHeaders(headers: HeadersInput): [string, string][] {
  if (typeof headers !== 'object' || headers === null) {
    const hint =
      typeof headers === 'function' ? '; reconnecting and ReconnectingConn take a function' : '';
    throw new TypeError(`headers: expected an object or pairs, got ${kind(headers)}${hint}`);
  }
  const lines: [string, string][] = [];
  for (const [name, value] of headerEntries(headers)) {
    if (value === undefined) continue;
    checkName(name);
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof line !== 'string') throw new TypeError(`headers: ${name} is not a string`);
      named(() => validateHeaderValue(name, line));
      lines.push([name, line]);
    }
  }
  return lines;
}

/** @throws TypeError with the message of Node's error, and the option. */
function named(check: () => void): void {
  try {
    check();
  } catch (cause) {
    throw new TypeError(`headers: ${(cause as Error).message}`, { cause });
  }
}

function checkName(name: string): void {
  named(() => validateHeaderName(name));
  const lower = name.toLowerCase();
  if (HANDSHAKE_HEADERS.has(lower)) {
    throw new TypeError(`headers: ${name} is the handshake's own and cannot be set`);
  }
  if (BODY_HEADERS.has(lower)) {
    throw new TypeError(`headers: ${name} cannot be set, a handshake has no body`);
  }
}

/**
 * Checks a list of subprotocols and copies it.
 *
 * @throws TypeError for a value that is not an array of strings; SyntaxError for a name that is not
 *   a token, or is listed twice.
 */
export function checkSubprotocols(names: unknown): readonly string[] {
  if (!Array.isArray(names)) throw new TypeError('subprotocols: expected an array of strings');
  const seen = new Set<string>();
  for (const name of names as unknown[]) {
    if (typeof name !== 'string') throw new TypeError('subprotocols: expected an array of strings');
    // No message shows a name: it may be a token of a login.
    const fault = (what: string) => new SyntaxError(`subprotocols: name ${seen.size + 1} ${what}`);
    if (parseTokenList(name)?.[0] !== name) {
      throw fault('is not a token; write base64 as base64url, without =');
    }
    if (seen.has(name)) throw fault('is listed twice');
    seen.add(name);
  }
  return [...seen];
}

/** Returns the offers of permessage-deflate for one dial: the memory budget decides too. */
export function deflateOffers(
  settings: Parameters<typeof deflateLimits>[0],
): readonly ExtensionOffer[] {
  const { compression } = settings.writing;
  const limits = deflateLimits(settings, 'client', nodePlatform);
  if (compression === false || limits === undefined) return [];
  const offer = offerDeflate(limits);
  // 'takeover' offers no takeover only above the memory budget. A bare answer would exceed it.
  const keepsNone = compression.mode === 'takeover' || nodeDeflate.inflates === 'messages';
  return keepsNone || offer.fallback === undefined ? [offer] : [offer, offer.fallback];
}
