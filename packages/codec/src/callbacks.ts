import type { Slab, SlabSource } from './memory/slab.ts';

// Calls of functions that the application gives. Each is synchronous by contract. A promise is a
// TypeError, and its rejection is handled: unhandled, it would end the process.

/** @throws TypeError when `result` is a promise. */
export function rejectPromise(name: string, result: unknown): void {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return;
  (result as PromiseLike<unknown>).then(undefined, () => {});
  throw new TypeError(`${name} must be synchronous: it returned a promise`);
}

/** @throws TypeError when the result of `nextKey` is not an integer of 32 bits. */
export function checkedKeys(nextKey: () => number): () => number {
  return () => {
    const key = nextKey();
    if ((key | 0) === key || key >>> 0 === key) return key;
    rejectPromise('nextKey', key);
    throw new TypeError(`nextKey must return an integer of 32 bits, not ${String(key)}`);
  };
}

/** @throws TypeError when the pool does not return a slab of at least `minBytes` bytes. */
export function takeSlab(pool: SlabSource, minBytes: number, masks: boolean): Slab {
  const slab: Slab | undefined = pool.take(minBytes, masks);
  if (slab?.bytes?.byteLength >= minBytes && typeof slab.release === 'function') return slab;
  rejectPromise('pool.take', slab);
  throw new TypeError(`pool.take must return a slab of at least ${minBytes} bytes`);
}

/** @throws TypeError when `release` returns a promise. */
export function callRelease(release: () => unknown): void {
  const result = release();
  if (result !== undefined) rejectPromise('release', result);
}
