import type { ConnectionOptions } from 'node:tls';
import { discardPromise, isThenable } from '@ws/http-shared';
import { asError } from '../errors.ts';

type Callbacks = Pick<ConnectionOptions, 'checkServerIdentity' | 'pskCallback' | 'lookup'>;

/**
 * Wraps the functions among TLS options for one connection. Node calls them from event handlers,
 * where a throw ends the process, and does not check their results.
 *
 * @param fail - Called with the error of a function, or with a TypeError for a bad result. The
 *   connection must fail then. It may be called before `tls.connect` has returned.
 */
export function guardedCallbacks(given: Callbacks, fail: (error: Error) => void): Callbacks {
  const { checkServerIdentity, pskCallback, lookup } = given;
  const guarded: Callbacks = {};
  if (checkServerIdentity !== undefined) {
    guarded.checkServerIdentity = (...args) =>
      attempt('checkServerIdentity', fail, () => {
        const verdict: unknown = checkServerIdentity(...args);
        if (isThenable(verdict)) {
          discardPromise(verdict);
          throw new TypeError(NOT_A_PROMISE);
        }
        return verdict as Error | undefined;
      });
  }
  if (pskCallback !== undefined) {
    guarded.pskCallback = (hint) =>
      attempt('pskCallback', fail, () => {
        const found: unknown = pskCallback(hint);
        if (isPsk(found)) return found;
        if (isThenable(found)) discardPromise(found);
        throw new TypeError('tls.pskCallback: expected { psk, identity } or null');
      }) ?? null;
  }
  if (lookup !== undefined) guarded.lookup = guardedLookup(lookup, fail);
  return guarded;
}

type Lookup = NonNullable<ConnectionOptions['lookup']>;
type Psk = ReturnType<NonNullable<ConnectionOptions['pskCallback']>>;

/** tls.connect would take a promise for an Error, without waiting for it. */
const NOT_A_PROMISE = 'tls.checkServerIdentity: expected an Error or undefined, got a promise';

function guardedLookup(lookup: Lookup, fail: (error: Error) => void): Lookup {
  return (name, options, callback) => {
    let answered = false;
    const once = ((...found: Parameters<typeof callback>) => {
      if (answered) return;
      answered = true;
      // net.connect throws for a result that is not an address.
      attempt('lookup', fail, () => callback(...found));
    }) as typeof callback;
    // An error after the answer is too late.
    const failed = (error: Error): void => {
      if (!answered) fail(error);
    };
    attempt('lookup', failed, () => {
      const pending: unknown = lookup(name, options, once);
      if (isThenable(pending)) {
        pending.then(undefined, (error) => failed(asError(error, 'tls.lookup')));
      }
    });
  };
}

function attempt<T>(name: string, fail: (error: Error) => void, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    fail(asError(error, `tls.${name}`));
    return undefined;
  }
}

function isPsk(value: unknown): value is Psk {
  if (value === null || value === undefined) return true;
  const { psk, identity } = value as Record<string, unknown>;
  return ArrayBuffer.isView(psk) && typeof identity === 'string';
}
