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

describe('N8 fake timers with a real setImmediate', () => {
  const toFake = ['setTimeout', 'clearTimeout', 'performance', 'Date'] as const;
  afterEach(() => void vi.useRealTimers());

  async function stateAfter(ms: number, heartbeat?: false): Promise<unknown> {
    vi.useFakeTimers({ toFake: [...toFake] });
    const settings = heartbeat === false ? { heartbeat } : {};
    const { connPair } = await import('../../src/index.ts');
    const [client, server] = connPair({ client: settings, server: settings });
    const reading = server.readMessage().then(
      () => 'a message',
      (error: Error) => error.message,
    );
    await vi.advanceTimersByTimeAsync(ms);
    await new Promise((resolve) => setImmediate(resolve));
    const { state } = server;
    client.terminate();
    return [state, await reading];
  }

  it('end a pair whose clock jumps by a minute, as docs/testing.md says', async () => {
    expect(await stateAfter(61_000)).toEqual(['closed', expect.stringContaining('heartbeat')]);
  });

  it.each([
    ['that advance by less than 40 s', 39_000, undefined],
    ['without a heartbeat', 61_000, false],
  ] as const)('keep a pair %s', async (_, ms, heartbeat) => {
    expect(await stateAfter(ms, heartbeat)).toEqual([
      'open',
      expect.not.stringContaining('heartbeat'),
    ]);
  });
});
