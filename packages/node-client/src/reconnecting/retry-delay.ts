import type { IncomingHttpHeaders } from 'node:http';

/** Bounds of the wait between dials, in milliseconds. */
export interface DelayRange {
  readonly minDelay: number;
  readonly maxDelay: number;
}

/**
 * Returns the wait before the next dial. It grows exponentially. The upper half of each step is
 * random, the first step from 0, so that the clients of a restarted server do not all reconnect at
 * once.
 *
 * @param tries - Dials so far, 1 or more. The wait is at most `minDelay * 2 ** tries`.
 * @param random - 0 to 1, from `Math.random`.
 * @returns Milliseconds up to `maxDelay`; from the second try on at least `minDelay`.
 */
export function retryDelay(
  tries: number,
  { minDelay, maxDelay }: DelayRange,
  random: number,
): number {
  const most = Math.min(maxDelay, minDelay * 2 ** tries);
  const least = tries === 1 ? 0 : Math.max(minDelay, most / 2);
  return Math.min(maxDelay, Math.ceil(least + (most - least) * random));
}

/**
 * Returns the wait that Retry-After of a refusal asks for, in seconds or as a date (RFC 9110,
 * section 10.2.3).
 *
 * @param now - Milliseconds since 1970.
 * @returns Milliseconds; 0 without the header or for an invalid value.
 */
export function retryAfter(headers: IncomingHttpHeaders, now: number): number {
  const value = headers['retry-after'];
  if (value === undefined) return 0;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // An HTTP date starts with the name of the day. Date.parse also accepts formats that HTTP does
  // not allow.
  const at = /^[A-Z][a-z]+, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.max(0, at - now);
}
