import type { DeflateLimits, DeflateParameters } from '@ws/codec';
import type { Element } from './header-fields.ts';

// The parameters of RFC 7692, section 7.1, as tables: which values an offer or an answer may have.

const NONE = /^$/;
const BITS = /^(?:8|9|10|11|12|13|14|15)$/;
const OFFER: Readonly<Record<string, readonly (RegExp | true)[]>> = {
  server_no_context_takeover: [true],
  client_no_context_takeover: [true],
  server_max_window_bits: [BITS],
  client_max_window_bits: [true, BITS],
};
const ANSWER: typeof OFFER = { ...OFFER, client_max_window_bits: [BITS] };

function isValid({ name, params }: Element, table: typeof OFFER): boolean {
  if (name !== 'permessage-deflate') return false;
  const names = params.map(([key]) => key);
  if (new Set(names).size < names.length) return false;
  return params.every(
    ([key, value]) =>
      Object.hasOwn(table, key) &&
      table[key]!.some((form) => (form === true ? value === true : form.test(String(value)))),
  );
}

function valueOf({ params }: Element, name: string): string | true | undefined {
  return params.find(([key]) => key === name)?.[1];
}

function bits(element: Element, name: string): number {
  const value = valueOf(element, name);
  return typeof value === 'string' && !NONE.test(value) ? Number(value) : 15;
}

/**
 * The parameters that a server with `limits` agrees to: those of the first valid offer, lowered to
 * the limits. Undefined if no offer is valid.
 */
export function agreementOf(
  offers: readonly Element[],
  limits: DeflateLimits,
): DeflateParameters | undefined {
  const offer = offers.find((one) => isValid(one, OFFER));
  if (offer === undefined) return undefined;
  const { serverMaxWindowBits = 15, clientMaxWindowBits = 15 } = limits;
  const mayLimitClient = valueOf(offer, 'client_max_window_bits') !== undefined;
  return {
    serverNoContextTakeover:
      limits.serverNoContextTakeover === true ||
      valueOf(offer, 'server_no_context_takeover') === true,
    clientNoContextTakeover:
      limits.clientNoContextTakeover === true ||
      valueOf(offer, 'client_no_context_takeover') === true,
    serverMaxWindowBits: Math.min(serverMaxWindowBits, bits(offer, 'server_max_window_bits')),
    clientMaxWindowBits: mayLimitClient
      ? Math.min(clientMaxWindowBits, bits(offer, 'client_max_window_bits'))
      : 15,
  };
}

/**
 * The parameters that a client reads from an answer to `offer`. Undefined if the answer is invalid:
 * the connection fails.
 */
export function acceptanceOf(answer: Element, offer: Element): DeflateParameters | undefined {
  if (!isValid(answer, ANSWER)) return undefined;
  const has = (element: Element, name: string): boolean => valueOf(element, name) !== undefined;
  const own = 'client_no_context_takeover';
  const peerTakeover = 'server_no_context_takeover';
  if (has(offer, peerTakeover) && !has(answer, peerTakeover)) return undefined;
  if (bits(answer, 'server_max_window_bits') > bits(offer, 'server_max_window_bits'))
    return undefined;
  if (has(answer, 'client_max_window_bits') && !has(offer, 'client_max_window_bits'))
    return undefined;
  return {
    serverNoContextTakeover: has(answer, peerTakeover),
    clientNoContextTakeover: has(answer, own) || has(offer, own),
    serverMaxWindowBits: bits(answer, 'server_max_window_bits'),
    clientMaxWindowBits: Math.min(
      bits(answer, 'client_max_window_bits'),
      bits(offer, 'client_max_window_bits'),
    ),
  };
}
