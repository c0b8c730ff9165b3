import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Platform } from '../../src/platform/platform.ts';

/** Imports the portable platform again, without the `missing` globals. */
async function hostOf(missing: string[] = []): Promise<{ portablePlatform: Platform }> {
  vi.resetModules();
  for (const name of missing) vi.stubGlobal(name, undefined);
  return import('../../src/platform/portable-platform.ts');
}

afterEach(() => vi.unstubAllGlobals());

it('C15 the example of portablePlatform sets a clock that is monotonic', () => {
  const file = new URL('../../src/platform/portable-platform.ts', import.meta.url);
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readFileSync(file, 'utf8')) ?? [];
  // Each time of the system may be set back.
  expect(example).toMatch(/\bnow: \(\) => time\b/);
  expect(example).not.toMatch(/\bDate\b|Temporal|timeOrigin/);
});

describe('portablePlatform', () => {
  it('encodes and decodes UTF-8, keeps a byte order mark, replaces lone surrogates', async () => {
    const { portablePlatform: platform } = await hostOf();
    const into = new Uint8Array(20);
    const length = platform.writeUtf8(into, 2, '\ufeffé\ud800');
    expect(platform.decodeUtf8(into, 2, 2 + length)).toBe('\ufeffé\ufffd');
  });

  it('fills words with random bits', async () => {
    const { portablePlatform: platform } = await hostOf();
    const words = new Int32Array(64);
    platform.randomFill(words);
    expect(new Set(words).size).toBeGreaterThan(60);
  });

  it('has a clock that advances and timers that can be cancelled', async () => {
    const { portablePlatform: platform } = await hostOf();
    const before = platform.now();
    let cancelled = true;
    platform.setTimer(1, () => (cancelled = false))();
    await new Promise<void>((resolve) => {
      platform.setTimer(2, resolve);
      // Its timers do not keep the process alive.
      setTimeout(() => {}, 50);
    });
    expect(cancelled).toBe(true);
    expect(platform.now()).toBeGreaterThan(before);
  });

  it.each([
    ['setImmediate', []],
    ['a MessageChannel', ['setImmediate']],
    ['setTimeout', ['setImmediate', 'MessageChannel']],
  ])('defers and yields by %s, in order, after the microtasks', async (_says, missing) => {
    const timer = setTimeout(() => {}, 1000);
    const { portablePlatform: platform } = await hostOf(missing);
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      platform.defer(() => order.push('deferred'));
      platform.yield(() => {
        order.push('yielded');
        resolve();
      });
      void Promise.resolve().then(() => order.push('microtask'));
    });
    expect(order).toEqual(['microtask', 'deferred', 'yielded']);
    clearTimeout(timer);
  });
});
