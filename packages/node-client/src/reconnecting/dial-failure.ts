import type { IncomingHttpHeaders } from 'node:http';
import { TimeoutError, TransportError } from '@ws/conn';
import { isError } from '@ws/conn/internal';
import { BadHandshakeError, isFunctionError } from '../errors.ts';
import { isCertificateError } from '../tls/certificate-advice.ts';
import { isCallbackError } from '../tls/tls-options.ts';

/**
 * When another dial may succeed after a failure: after the usual wait; after the longest wait; after
 * the longest wait too, but only at a URL where a connection was open before; or never.
 */
type RetryAdvice = 'soon' | 'late' | 'late if it was open' | 'never';

/** Ms that Retry-After may ask for, also with a shorter `maxDelay`. */
const MAX_RETRY_AFTER = 60_000;

/** The certificate errors that end without a change of options: by a renewal, or by time. */
const TEMPORARY_CERTIFICATE_ERRORS: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];

/**
 * Returns what the error of a dial adds to the usual wait, in ms; Infinity when another dial cannot
 * succeed. `opened`: the connection was open, and `onOpen` failed. `wasOpen`: an earlier connection
 * was open.
 */
export function extraDelay(
  error: unknown,
  maxDelay: number,
  opened: boolean,
  wasOpen: boolean,
): number {
  if (opened || isFunctionError(error)) return isProgrammingError(error) ? Infinity : 0;
  const advice = retryAdvice(error);
  if (advice === 'never') return Infinity;
  if (advice === 'late if it was open') return wasOpen ? maxDelay : Infinity;
  if (advice === 'late') return maxDelay;
  if (!(error instanceof BadHandshakeError)) return 0;
  // Has a bound: Infinity means that another dial cannot succeed.
  return Math.min(Math.max(maxDelay, MAX_RETRY_AFTER), retryAfter(error.headers, Date.now()));
}

function retryAdvice(error: unknown): RetryAdvice {
  if (error instanceof BadHandshakeError) return adviceForStatus(error.status);
  if (error instanceof TransportError) return adviceForCause(causeOf(error));
  return error instanceof TimeoutError ? 'soon' : 'never';
}

function adviceForStatus(status: number): RetryAdvice {
  if ([0, 408, 425, 429].includes(status) || status >= 500) return 'soon';
  // Any other answer may come from a proxy or a network in between, for example during a deployment.
  return [401, 403].includes(status) ? 'never' : 'late if it was open';
}

/** The first cause that is not a TransportError itself. */
function causeOf(error: TransportError): unknown {
  let { cause } = error;
  while (cause instanceof TransportError) cause = cause.cause;
  return cause;
}

function adviceForCause(cause: unknown): RetryAdvice {
  if (isProgrammingError(cause)) return 'never';
  if (isCallbackError(cause)) return 'late if it was open';
  if (!isCertificateError(cause)) return 'soon';
  const isTemporary = TEMPORARY_CERTIFICATE_ERRORS.includes(String(cause.code));
  return isTemporary ? 'late' : 'late if it was open';
}

const PROGRAMMING_ERRORS: readonly unknown[] = ['ReferenceError', 'SyntaxError', 'TypeError'];

/**
 * Whether the caller's own code is wrong: another call fails in the same way. `fetch` rejects
 * with a TypeError too, but with the network's error as its cause.
 */
function isProgrammingError(error: unknown): boolean {
  try {
    const name = programmingErrorOf(error);
    return name !== undefined && (name !== 'TypeError' || (error as Error).cause === undefined);
  } catch {
    // A getter of the error, or a trap of a Proxy.
    return false;
  }
}

/**
 * Returns the name of the class, by its prototypes: the errors of Node's modules belong to another
 * realm in Jest.
 */
function programmingErrorOf(error: unknown): unknown {
  if (!isError(error)) return undefined;
  for (let each: unknown = error; each !== null; each = Object.getPrototypeOf(each)) {
    const own = Object.getOwnPropertyDescriptor(each, 'constructor')?.value as { name?: unknown };
    if (PROGRAMMING_ERRORS.includes(own?.name)) return own.name;
  }
  return undefined;
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
