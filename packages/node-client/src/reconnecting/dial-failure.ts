import { TimeoutError, TransportError } from '@ws/conn';
import { isProgrammingError } from '@ws/conn/internal';
import { BadHandshakeError } from '../errors.ts';
import { isCertificateError } from '../tls/certificate-advice.ts';
import { isCallbackError } from '../tls/tls-callbacks.ts';
import { retryAfter } from './retry-after.ts';

/**
 * When another dial may succeed after a failure: after the usual wait, after the longest wait, or
 * never.
 */
type RetryAdvice = 'soon' | 'late' | 'never';

/**
 * The certificate errors that heal without a change of options: an operator renews it, or waits.
 */
const HEALING_CERTIFICATES: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];

/**
 * Returns the wait in ms that the error of a dial asks for, in addition to the usual one; Infinity
 * when another dial cannot succeed.
 */
export function waitAfter(error: unknown, maxDelay: number, opened: boolean): number {
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
  return HEALING_CERTIFICATES.includes(String(cause.code)) ? 'late' : 'never';
}
