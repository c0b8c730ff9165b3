import { parseTokenList } from './token-list.ts';

/** Longest `Sec-WebSocket-Protocol` that is accepted, in characters: 4 KiB. */
const MAX_LENGTH = 4096;
const MAX_NAMES = 64;

/**
 * Reads the subprotocols that a client offers, in its order of preference. Names are
 * case-sensitive.
 *
 * @param value - All lines of `Sec-WebSocket-Protocol`, joined with commas.
 * @returns The names. Undefined when the field is malformed, repeats a name, or is longer than 4
 *   KiB or 64 names.
 * @see RFC 6455, sections 4.1 and 11.3.4
 *
 * @example
 * ```ts
 * import { parseSubprotocols } from '@ws/codec';
 *
 * console.log(parseSubprotocols('v2, v1')); // [ 'v2', 'v1' ]
 * console.log(parseSubprotocols('v1, v1')); // undefined
 * ```
 */
export function parseSubprotocols(value: string): string[] | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const names = parseTokenList(value);
  if (names === undefined || names.length > MAX_NAMES) return undefined;
  return new Set(names).size === names.length ? names : undefined;
}
