import type { IncomingHttpHeaders } from 'node:http';

/** How long to wait between dials, in milliseconds. */
export interface DelayRange {
  readonly minDelay: number;
  readonly maxDelay: number;
}

/**
 * The wait before the next dial: exponential, the upper half of each step left to chance, so that the clients of a
 * server that restarts do not all come back at once.
 *
 * @param tries - Dials so far, 1 or more. The wait is at most `minDelay` times 2 to the power of it.
 * @param random - 0 to 1, as `Math.random` gives it.
 * @returns Milliseconds from `minDelay` to `maxDelay`.
 */
export function backoffDelay(
  tries: number,
  { minDelay, maxDelay }: DelayRange,
  random: number,
): number {
  const most = Math.min(maxDelay, minDelay * 2 ** tries);
  const least = Math.max(minDelay, most / 2);
  return Math.min(maxDelay, Math.ceil(least + (most - least) * random));
}

/**
 * What a refusal's Retry-After asks for, in seconds or as a date (RFC 9110, section 10.2.3).
 *
 * @param now - Milliseconds since 1970.
 * @returns Milliseconds; 0 when it asks for nothing, or for nothing that can be read.
 */
export function retryAfter(headers: IncomingHttpHeaders, now: number): number {
  const value = headers['retry-after'];
  if (value === undefined) return 0;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Dates in a header begin with the day's name; what else Date.parse takes is no business of a server's.
  const at = /^[A-Z][a-z]+, /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.max(0, at - now);
}
