import { whole } from '../arguments.ts';
import { ProtocolError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';
import type { ExtensionOffer } from './extensions.ts';

// RFC 7692, section 7.1, in short. Each side has two parameters. `*_no_context_takeover`: that side
// resets its window after each message. `*_max_window_bits`: its window is at most 2^bits bytes.
// An answer may contain the server's two parameters even if they were not offered. It must contain
// the server's parameters that were offered. `client_no_context_takeover` is a hint in an offer and an order in an
// answer. `client_max_window_bits` is a permission in an offer, also a hint if it has a value, and
// an order in an answer, which needs that permission.

const NAME = 'permessage-deflate';
const SERVER_NO_TAKEOVER = 'server_no_context_takeover';
const CLIENT_NO_TAKEOVER = 'client_no_context_takeover';
const SERVER_BITS = 'server_max_window_bits';
const CLIENT_BITS = 'client_max_window_bits';

/** Largest window bits, and the default for a parameter that is missing or has no value. */
const MAX_BITS = 15;
const MIN_BITS = 8;

/** The parameters of permessage-deflate that both ends of a connection agreed on. */
export interface DeflateParameters {
  /**
   * Whether the server compresses each message alone: the client keeps no window to inflate with.
   */
  readonly serverNoContextTakeover: boolean;
  /**
   * Whether the client compresses each message alone: the server keeps no window to inflate with.
   */
  readonly clientNoContextTakeover: boolean;
  /** Window of the server's messages, as a power of two in bytes: 8 to 15. */
  readonly serverMaxWindowBits: number;
  /** Window of the client's messages, as a power of two in bytes: 8 to 15. */
  readonly clientMaxWindowBits: number;
}

/**
 * The wishes of one end for permessage-deflate. The other end decides the fields that are left out.
 */
export interface DeflateLimits {
  /** Default false. */
  readonly serverNoContextTakeover?: boolean | undefined;
  /** Default false. */
  readonly clientNoContextTakeover?: boolean | undefined;
  /** 8 to 15, default 15. */
  readonly serverMaxWindowBits?: number | undefined;
  /**
   * 8 to 15, default 15. A server can limit a client only when the offer allows it; other clients keep
   * 15. A `Conn` chooses another default, see `deflateLimits` of conn.
   */
  readonly clientMaxWindowBits?: number | undefined;
}

/** The result of {@link negotiateDeflate}. */
export interface DeflateAgreement {
  /** The parameters for both ends. */
  readonly parameters: DeflateParameters;
  /** The server's answer for `Sec-WebSocket-Extensions`: `formatExtensions([answer])`. */
  readonly answer: ExtensionOffer;
}

/**
 * The server's part: accepts the first valid offer of permessage-deflate. Other extensions are
 * skipped. So are offers with an unknown, repeated or malformed parameter: they never fail a
 * handshake. The answer repeats the offered values, reduced to `limits`.
 *
 * @param offers - From `parseExtensions`, in the client's order of preference.
 * @returns Undefined when there is no valid offer: the connection uses no compression.
 * @throws TypeError or RangeError for window bits in `limits` that are not an integer from 8 to 15.
 * @see RFC 7692, sections 5 and 7.1
 *
 * @example
 * ```ts
 * import { formatExtensions, negotiateDeflate, parseExtensions } from '@ws/codec';
 *
 * const offers = parseExtensions('permessage-deflate; client_max_window_bits') ?? [];
 * const agreement = negotiateDeflate(offers, { clientMaxWindowBits: 12 });
 * if (agreement !== undefined) console.log(formatExtensions([agreement.answer]));
 * ```
 */
export function negotiateDeflate(
  offers: readonly ExtensionOffer[],
  limits: DeflateLimits = {},
): DeflateAgreement | undefined {
  const wanted = withDefaults(limits);
  const offer = offers.find((one) => one.name === NAME && faultsOf(one, 'offer').length === 0);
  if (offer === undefined) return undefined;

  const parameters: DeflateParameters = {
    serverNoContextTakeover: wanted.serverNoContextTakeover || offer.params.has(SERVER_NO_TAKEOVER),
    clientNoContextTakeover: wanted.clientNoContextTakeover || offer.params.has(CLIENT_NO_TAKEOVER),
    serverMaxWindowBits: Math.min(wanted.serverMaxWindowBits, bitsOf(offer, SERVER_BITS)),
    clientMaxWindowBits: offer.params.has(CLIENT_BITS)
      ? Math.min(wanted.clientMaxWindowBits, bitsOf(offer, CLIENT_BITS))
      : MAX_BITS,
  };
  const params = new Map<string, string | true>();
  if (parameters.serverNoContextTakeover) params.set(SERVER_NO_TAKEOVER, true);
  if (parameters.clientNoContextTakeover) params.set(CLIENT_NO_TAKEOVER, true);
  // RFC 7692, section 7.1.2.1: an offered limit must be answered, even 15.
  if (parameters.serverMaxWindowBits < MAX_BITS || offer.params.has(SERVER_BITS)) {
    params.set(SERVER_BITS, String(parameters.serverMaxWindowBits));
  }
  if (
    parameters.clientMaxWindowBits < MAX_BITS ||
    typeof offer.params.get(CLIENT_BITS) === 'string'
  ) {
    params.set(CLIENT_BITS, String(parameters.clientMaxWindowBits));
  }
  return { parameters, answer: { name: NAME, params } };
}

/** A client's offer of permessage-deflate. */
export interface DeflateOffer extends ExtensionOffer {
  /**
   * The same offer without its parameters for no context takeover; undefined when the offer has no
   * such parameters. Some servers ignore parameters without a value and answer
   * `permessage-deflate` alone. That answer is invalid for this offer, but valid for a second offer
   * after it (RFC 7692, section 7.1.1.1).
   */
  readonly fallback: ExtensionOffer | undefined;
}

/**
 * Returns a client's offer of permessage-deflate within `limits`. The offer allows the server to
 * limit the client's window, as browsers do. A client that keeps no window between messages allows it
 * only when `limits` has `clientMaxWindowBits`.
 *
 * @throws TypeError or RangeError for window bits that are not an integer from 8 to 15.
 * @see RFC 7692, section 7.1
 *
 * @example
 * ```ts
 * import { acceptDeflate, formatExtensions, offerDeflate, parseExtensions } from '@ws/codec';
 *
 * const offers = [offerDeflate({ serverNoContextTakeover: true })];
 * console.log(formatExtensions(offers));
 * // permessage-deflate; server_no_context_takeover; client_max_window_bits
 * const [answer] = parseExtensions('permessage-deflate; server_no_context_takeover')!;
 * console.log(acceptDeflate(answer!, offers).serverNoContextTakeover); // true
 * ```
 */
export function offerDeflate(limits: DeflateLimits = {}): DeflateOffer {
  const wanted = withDefaults(limits);
  const { serverNoContextTakeover, clientNoContextTakeover } = wanted;
  const windows = new Map<string, string | true>();
  if (wanted.serverMaxWindowBits < MAX_BITS) {
    windows.set(SERVER_BITS, String(wanted.serverMaxWindowBits));
  }
  if (!clientNoContextTakeover || limits.clientMaxWindowBits !== undefined) {
    const bits = wanted.clientMaxWindowBits;
    windows.set(CLIENT_BITS, bits < MAX_BITS ? String(bits) : true);
  }
  const params = new Map<string, string | true>();
  if (serverNoContextTakeover) params.set(SERVER_NO_TAKEOVER, true);
  if (clientNoContextTakeover) params.set(CLIENT_NO_TAKEOVER, true);
  const fallback = params.size === 0 ? undefined : { name: NAME, params: windows };
  return { name: NAME, params: new Map([...params, ...windows]), fallback };
}

/**
 * The client's part: checks the server's answer against the offers. An offer with unknown,
 * repeated or malformed parameters is skipped.
 *
 * @param answer - The only element of the server's answer, from `parseExtensions`. The caller
 *   checks that it is the only one.
 * @param offers - The offers that were sent, in order of preference.
 * @returns The parameters of the first offer that the answer fits.
 * @throws {@link ProtocolError} when the answer fits no offer: the connection must fail (RFC 7692,
 *   section 7.1). It names every fault, against the offer with the fewest.
 *
 * @example
 * ```ts
 * import { acceptDeflate, parseExtensions } from '@ws/codec';
 *
 * const [answer] = parseExtensions('permessage-deflate; server_no_context_takeover')!;
 * const parameters = acceptDeflate(answer!, [{ name: 'permessage-deflate', params: new Map() }]);
 * console.log(parameters.serverNoContextTakeover); // true
 * ```
 */
export function acceptDeflate(
  answer: ExtensionOffer,
  offers: readonly ExtensionOffer[],
): DeflateParameters {
  const ownFaults = faultsOf(answer, 'answer');
  let fewest: readonly string[] | undefined;
  for (const offer of offers) {
    if (faultsOf(offer, 'offer').length > 0) continue;
    const faults = [...ownFaults, ...mismatches(answer, offer)];
    if (faults.length === 0) return agreedParameters(answer, offer);
    if (fewest === undefined || faults.length < fewest.length) fewest = faults;
  }
  const faults = fewest ?? [...ownFaults, `${NAME} was not offered`];
  throw new ProtocolError(CloseCode.ProtocolError, faults);
}

/** The parameters of an answer that fits `offer`. */
function agreedParameters(answer: ExtensionOffer, offer: ExtensionOffer): DeflateParameters {
  return {
    serverNoContextTakeover: answer.params.has(SERVER_NO_TAKEOVER),
    // RFC 7692, sections 7.1.1.2 and 7.1.2.2: our offer for our own side binds us, answered or not.
    clientNoContextTakeover:
      answer.params.has(CLIENT_NO_TAKEOVER) || offer.params.has(CLIENT_NO_TAKEOVER),
    serverMaxWindowBits: bitsOf(answer, SERVER_BITS),
    clientMaxWindowBits: Math.min(bitsOf(answer, CLIENT_BITS), bitsOf(offer, CLIENT_BITS)),
  };
}

/** The faults of an offer or an answer alone. */
function faultsOf(extension: ExtensionOffer, kind: 'offer' | 'answer'): string[] {
  const faults: string[] = [];
  if (extension.name !== NAME) faults.push(`${extension.name} is not ${NAME}`);
  if (extension.repeated) faults.push('repeated parameter');
  for (const [name, value] of extension.params) {
    if (name === SERVER_NO_TAKEOVER || name === CLIENT_NO_TAKEOVER) {
      if (value !== true) faults.push(`${name} with a value`);
    } else if (name === SERVER_BITS || name === CLIENT_BITS) {
      const mayBeBare = name === CLIENT_BITS && kind === 'offer';
      if (value === true ? !mayBeBare : !isBits(value)) {
        faults.push(value === true ? `${name} without a value` : `bad ${name} ${value}`);
      }
    } else {
      faults.push(`unknown parameter ${name}`);
    }
  }
  return faults;
}

/** The parts of an answer that do not fit its offer. */
function mismatches(answer: ExtensionOffer, offer: ExtensionOffer): string[] {
  const faults: string[] = [];
  if (offer.params.has(SERVER_NO_TAKEOVER) && !answer.params.has(SERVER_NO_TAKEOVER)) {
    faults.push(`${SERVER_NO_TAKEOVER} was offered and not answered`);
  }
  if (bitsOf(answer, SERVER_BITS) > bitsOf(offer, SERVER_BITS)) {
    faults.push(`${SERVER_BITS} above the offered ${bitsOf(offer, SERVER_BITS)}`);
  }
  // A greater window than the client's own is no fault: the offer binds the client, whatever the answer.
  if (answer.params.has(CLIENT_BITS) && !offer.params.has(CLIENT_BITS)) {
    faults.push(`${CLIENT_BITS} was not offered`);
  }
  return faults;
}

/** The window bits of a valid element; 15 when it has none. */
function bitsOf(extension: ExtensionOffer, name: string): number {
  const value = extension.params.get(name);
  return value === undefined || value === true ? MAX_BITS : Number(value);
}

/** RFC 7692, section 7.1.2: decimal, without leading zeros, 8 to 15. */
function isBits(value: string): boolean {
  return /^(?:[89]|1[0-5])$/.test(value);
}

function withDefaults(limits: DeflateLimits): DeflateParameters {
  return {
    serverNoContextTakeover: limits.serverNoContextTakeover ?? false,
    clientNoContextTakeover: limits.clientNoContextTakeover ?? false,
    serverMaxWindowBits: checkBits('serverMaxWindowBits', limits.serverMaxWindowBits),
    clientMaxWindowBits: checkBits('clientMaxWindowBits', limits.clientMaxWindowBits),
  };
}

function checkBits(option: string, bits: number = MAX_BITS): number {
  return whole(option, bits, MIN_BITS, MAX_BITS);
}
