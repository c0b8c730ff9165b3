import type { ConnectionOptions } from 'node:tls';
import { isNativeError } from 'node:util/types';
import { asError, describeResult } from '@ws/node-io/internal';

type Callbacks = Pick<ConnectionOptions, 'checkServerIdentity' | 'pskCallback'>;

/** Errors of `checkServerIdentity` and `pskCallback`. */
const callbackErrors = new WeakSet<object>();

/** Returns whether `error` came from `checkServerIdentity` or `pskCallback`. */
export function isCallbackError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && callbackErrors.has(error);
}

/**
 * Wraps the functions among TLS options for one connection. Node calls them from event handlers,
 * where a throw ends the process, and does not check their results.
 *
 * @param fail - Called with the error of a function, or with a TypeError for a bad result. The
 *   connection must fail then. It may be called before `tls.connect` has returned.
 * @param option - The option that holds the functions, for messages.
 */
export function guardedCallbacks(
  given: Callbacks,
  fail: (error: Error) => void,
  option: 'tls' | 'proxyTls',
): Callbacks {
  const { checkServerIdentity, pskCallback } = given;
  // The same peer fails in the same way again.
  const reject = (error: Error): void => {
    callbackErrors.add(error);
    fail(error);
  };
  const guarded: Callbacks = {};
  if (checkServerIdentity !== undefined) {
    const label = `${option}.checkServerIdentity`;
    guarded.checkServerIdentity = (...args) =>
      attempt(label, reject, () => identityError(label, checkServerIdentity(...args)));
  }
  if (pskCallback !== undefined) {
    const label = `${option}.pskCallback`;
    guarded.pskCallback = (hint) =>
      attempt(label, reject, () => pskOf(label, pskCallback(hint))) ?? null;
  }
  return guarded;
}

/** Node takes `false` for a yes, and destroys the socket with any other value as its error. */
function identityError(label: string, verdict: unknown): Error | undefined {
  if (verdict === undefined || verdict === null) return undefined;
  if (!isNativeError(verdict)) throw unexpected(label, 'an Error or undefined', verdict);
  const error = asError(verdict, label);
  callbackErrors.add(error);
  return error;
}

function pskOf(label: string, found: unknown): Psk {
  if (isPsk(found)) return found;
  throw unexpected(label, '{ psk, identity } or null', found);
}

function unexpected(label: string, expected: string, result: unknown): TypeError {
  return new TypeError(`${label}: expected ${expected}, got ${describeResult(result)}`);
}

type Psk = ReturnType<NonNullable<ConnectionOptions['pskCallback']>>;

function attempt<T>(label: string, fail: (error: Error) => void, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    fail(asError(error, label));
    return undefined;
  }
}

function isPsk(value: unknown): value is Psk {
  if (value === null || value === undefined) return true;
  const { psk, identity } = value as Record<string, unknown>;
  return ArrayBuffer.isView(psk) && typeof identity === 'string';
}
