import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Host } from '../src/host.ts';

/** The host with the globals that a platform has, looked up afresh. */
async function hostOf(missing: string[] = []): Promise<{ portableHost: Host }> {
  vi.resetModules();
  for (const name of missing) vi.stubGlobal(name, undefined);
  return import('../src/portable-host.ts');
}

afterEach(() => vi.unstubAllGlobals());

describe('portableHost', () => {
  it('writes and reads UTF-8, keeps a byte order mark, replaces lone surrogates', async () => {
    const { portableHost: host } = await hostOf();
    const into = new Uint8Array(20);
    const length = host.writeUtf8(into, 2, '\ufeffé\ud800');
    expect(host.decodeUtf8(into, 2, 2 + length)).toBe('\ufeffé\ufffd');
  });

  it('fills words at random', async () => {
    const { portableHost: host } = await hostOf();
    const words = new Int32Array(64);
    host.randomFill(words);
    expect(new Set(words).size).toBeGreaterThan(60);
  });

  it('has a clock that goes forward and timers that can be cancelled', async () => {
    const { portableHost: host } = await hostOf();
    const before = host.now();
    let cancelled = true;
    host.setTimer(1, () => (cancelled = false))();
    await new Promise<void>((resolve) => {
      host.setTimer(2, resolve);
      // The host's timers hold no process open.
      setTimeout(() => {}, 50);
    });
    expect(cancelled).toBe(true);
    expect(host.now()).toBeGreaterThan(before);
  });

  it.each([
    ['setImmediate', []],
    ['a MessageChannel', ['setImmediate']],
    ['setTimeout', ['setImmediate', 'MessageChannel']],
  ])('defers and yields by %s, in order, after the microtasks', async (_says, missing) => {
    const timer = setTimeout(() => {}, 1000);
    const { portableHost: host } = await hostOf(missing);
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      host.defer(() => order.push('deferred'));
      host.yield(() => {
        order.push('yielded');
        resolve();
      });
      void Promise.resolve().then(() => order.push('microtask'));
    });
    expect(order).toEqual(['microtask', 'deferred', 'yielded']);
    clearTimeout(timer);
  });
});
