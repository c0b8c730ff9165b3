import { describe, expect, it } from 'vitest';
import { ObservedPromise } from '../../src/read/observed-promise.ts';

const subject = {};

function observed() {
  const calls: unknown[] = [];
  const observer = {
    fulfilled: (each: object) => void calls.push(['fulfilled', each]),
    rejected: (each: object, error: unknown) => void calls.push(['rejected', each, error]),
  };
  return { calls, observer, promise: new ObservedPromise() };
}

describe('ObservedPromise', () => {
  it('calls its observers and those that await it, when it fulfils', async () => {
    const { calls, observer, promise } = observed();
    promise.observe(observer, subject);
    promise.observe(observer, subject);
    promise.settle(Promise.resolve());
    expect(await promise).toBeUndefined();
    await promise.finally(() => calls.push('finally'));
    expect(calls).toEqual([['fulfilled', subject], ['fulfilled', subject], 'finally']);
  });

  it('calls its observers and those that await it, when it rejects', async () => {
    const { calls, observer, promise } = observed();
    promise.observe(observer, subject);
    promise.settle(Promise.reject(new Error('broken')));
    await expect(promise).rejects.toThrow('broken');
    promise.observe(observer, subject);
    await promise.catch(() => {});
    const call = ['rejected', subject, new Error('broken')];
    expect(calls).toEqual([call, call]);
  });

  it('is not reported as unhandled, and is known by its brand', async () => {
    const { promise } = observed();
    promise.settle(Promise.reject(new Error('broken')));
    await new Promise((resolve) => setImmediate(resolve));
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect([promise, proxy, Promise.resolve(), null].map((one) => ObservedPromise.is(one))).toEqual(
      [true, false, false, false],
    );
  });
});
