import type { IncomingHttpHeaders } from 'node:http';

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
