import type { IncomingHttpHeaders } from 'node:http';
import { TimeoutError, TransportError } from '@ws/conn';
import { BadHandshakeError } from '../errors.ts';
import { isCertificateError } from '../tls/certificate-advice.ts';
import { isCallbackError } from '../tls/tls-callbacks.ts';

/**
 * When another dial may succeed after a failure: after the usual wait, after the longest wait, or
 * never.
 */
type RetryAdvice = 'soon' | 'late' | 'never';

/** The certificate errors that end without a change of options: by a renewal, or by time. */
const TEMPORARY_CERTIFICATE_ERRORS: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];

/**
 * Returns what the error of a dial adds to the usual wait, in ms; Infinity when another dial cannot
 * succeed. `opened`: the connection was open, and `onOpen` failed.
 */
export function extraDelay(error: unknown, maxDelay: number, opened: boolean): number {
  if (opened) return isProgrammingError(error) ? Infinity : 0;
  const advice = retryAdvice(error);
  if (advice === 'never') return Infinity;
  if (advice === 'late') return maxDelay;
  if (!(error instanceof BadHandshakeError)) return 0;
  // At most maxDelay: Infinity means that another dial cannot succeed.
  return Math.min(maxDelay, retryAfter(error.headers, Date.now()));
}

function retryAdvice(error: unknown): RetryAdvice {
  if (error instanceof BadHandshakeError) {
    const { status } = error;
    return [0, 408, 425, 429].includes(status) || status >= 500 ? 'soon' : 'never';
  }
  if (error instanceof TransportError) return adviceForCause(causeOf(error));
  return error instanceof TimeoutError ? 'soon' : 'never';
}

/** The first cause that is not a TransportError itself. */
function causeOf(error: TransportError): unknown {
  let { cause } = error;
  while (cause instanceof TransportError) cause = cause.cause;
  return cause;
}

function adviceForCause(cause: unknown): RetryAdvice {
  if (isCallbackError(cause) || isProgrammingError(cause)) return 'never';
  if (!isCertificateError(cause)) return 'soon';
  return TEMPORARY_CERTIFICATE_ERRORS.includes(String(cause.code)) ? 'late' : 'never';
}

/**
 * Whether the caller's own code is wrong: another call fails in the same way. `fetch` rejects
 * with a TypeError too, but with the network's error as its cause.
 */
function isProgrammingError(error: unknown): boolean {
  if (error instanceof ReferenceError || error instanceof SyntaxError) return true;
  return error instanceof TypeError && error.cause === undefined;
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
