import { isThenable, kind, onRejection } from '@ws/conn/internal';

/**
 * Returns the type of a result that a function must not have, for a message. A promise is
 * discarded: the function must be synchronous.
 */
export function describeResult(result: unknown): string {
  onRejection(result, () => {});
  return isThenable(result) ? 'a promise; it must be synchronous' : kind(result);
}
