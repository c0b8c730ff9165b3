import type { TlsOptions } from 'node:tls';
import { isThenable } from '@ws/conn/internal';
import { asError, describeResult } from '@ws/node-io/internal';
import type { ErrorReporter } from './error-reporter.ts';

type Callbacks = Pick<TlsOptions, 'SNICallback' | 'ALPNCallback' | 'pskCallback'>;

/**
 * Wraps the functions among the TLS options of a server. One that throws or returns a promise
 * fails the TLS handshake of its client. Unguarded, a promise that rejects would end the process.
 *
 * @param reporter - Gets the errors.
 */
export function guardedTls(
  { SNICallback, ALPNCallback, pskCallback }: Callbacks,
  reporter: ErrorReporter,
): Callbacks {
  const failed = (error: unknown, where: string): void => reporter.failed(error, { where });
  const guarded: Callbacks = {};
  if (SNICallback !== undefined) {
    guarded.SNICallback = (name, done) => {
      let answered = false;
      const answer: typeof done = (error, context) => {
        if (answered) return;
        answered = true;
        done(error, context);
      };
      const fail = (error: unknown): void => {
        failed(error, 'tls.SNICallback');
        answer(asError(error, 'tls.SNICallback'));
      };
      try {
        const result: unknown = SNICallback(name, answer);
        if (isThenable(result)) result.then(undefined, fail);
      } catch (error) {
        fail(error);
      }
    };
  }
  if (ALPNCallback !== undefined) {
    guarded.ALPNCallback = (hello) =>
      synchronous('tls.ALPNCallback', () => ALPNCallback(hello), failed);
  }
  if (pskCallback !== undefined) {
    guarded.pskCallback = (socket, identity) =>
      synchronous('tls.pskCallback', () => pskCallback(socket, identity), failed) ?? null;
  }
  return guarded;
}

function synchronous<T>(
  name: string,
  call: () => T,
  failed: (error: unknown, where: string) => void,
): T | undefined {
  try {
    const result = call();
    if (!isThenable(result)) return result;
    result.then(undefined, (error: unknown) => failed(error, name));
    throw new TypeError(`${name}: expected a result at once, got ${describeResult(result)}`);
  } catch (error) {
    failed(error, name);
    return undefined;
  }
}
