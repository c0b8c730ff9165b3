import type { ConnectionOptions } from 'node:tls';
import { asError } from './errors.ts';
import { forget, isPromise } from './promise-like.ts';

type Callbacks = Pick<ConnectionOptions, 'checkServerIdentity' | 'pskCallback' | 'lookup'>;

/**
 * The functions among TLS options, for one connection. Node calls them where what they throw would end the process, and
 * takes what they return without a look.
 *
 * @param fail - Hears what a function threw, or has done wrong: the connection must not come to be then. It may be called
 *   before `tls.connect` has returned.
 */
export function guardedCallbacks(given: Callbacks, fail: (error: Error) => void): Callbacks {
  const { checkServerIdentity, pskCallback, lookup } = given;
  const guarded: Callbacks = {};
  if (checkServerIdentity !== undefined) {
    guarded.checkServerIdentity = (...args) =>
      attempt('checkServerIdentity', fail, () => {
        const verdict: unknown = checkServerIdentity(...args);
        if (isPromise(verdict)) {
          forget(verdict);
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
        if (isPromise(found)) forget(found);
        throw new TypeError('tls.pskCallback: expected { psk, identity } or null');
      }) ?? null;
  }
  if (lookup !== undefined) guarded.lookup = guardedLookup(lookup, fail);
  return guarded;
}

type Lookup = NonNullable<ConnectionOptions['lookup']>;
type Psk = ReturnType<NonNullable<ConnectionOptions['pskCallback']>>;

/** Node would take it for an error, and wait for nothing. */
const NOT_A_PROMISE = 'tls.checkServerIdentity: expected an Error or undefined, got a promise';

function guardedLookup(lookup: Lookup, fail: (error: Error) => void): Lookup {
  return (name, options, callback) => {
    let answered = false;
    const once = ((...found: Parameters<typeof callback>) => {
      if (answered) return;
      answered = true;
      // Node trips over what is no address.
      attempt('lookup', fail, () => callback(...found));
    }) as typeof callback;
    // What goes wrong behind its answer is too late for anybody.
    const failed = (error: Error): void => {
      if (!answered) fail(error);
    };
    attempt('lookup', failed, () => {
      const pending: unknown = lookup(name, options, once);
      if (isPromise(pending)) {
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
