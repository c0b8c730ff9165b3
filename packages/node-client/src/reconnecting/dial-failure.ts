import { TimeoutError, TransportError } from '@ws/conn';
import { BadHandshakeError } from '../errors.ts';
import { isCertificateError } from '../tls/certificate-advice.ts';
import { isCallbackError } from '../tls/tls-callbacks.ts';

/**
 * When another dial may succeed after a failure: after the usual wait, after the longest wait, or
 * never.
 */
export type RetryAdvice = 'soon' | 'late' | 'never';

/**
 * The certificate errors that heal without a change of options: an operator renews it, or waits.
 */
const HEALING_CERTIFICATES: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];

/** Returns when another dial may succeed after `error`. */
export function retryAdvice(error: unknown): RetryAdvice {
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
  return HEALING_CERTIFICATES.includes(String(cause.code)) ? 'late' : 'never';
}

/**
 * Returns whether a function of the caller is wrong: another call fails in the same way. `fetch`
 * rejects with a TypeError too, but with the network's error as its cause.
 */
function isProgrammingError(error: unknown): boolean {
  if (error instanceof ReferenceError || error instanceof SyntaxError) return true;
  return error instanceof TypeError && error.cause === undefined;
}
