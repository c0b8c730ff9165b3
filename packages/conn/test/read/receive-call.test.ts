import { CloseMessage, formatCloseMessage, TextMessage } from '@ws/codec';
import { nothingUnhandled } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { wired } from '../wired.ts';

/** A promise of `receive`, and what ends it. */
function receiving(): { promise: Promise<unknown>; end: () => void; fail: () => void } {
  const { conn, feed, frame, transport } = wired('server');
  return {
    promise: conn.receive(() => {}),
    end() {
      feed(frame(CloseMessage, formatCloseMessage(1000, 'bye')));
      setImmediate(() => transport.break());
    },
    fail: () => transport.break(new Error('gone')),
  };
}

const WAYS: readonly { by: string; look: (promise: Promise<unknown>) => Promise<unknown> }[] = [
  {
    by: 'await',
    look: async (promise) => {
      const info = await promise;
      return info;
    },
  },
  { by: 'then', look: (promise) => promise.then((info) => info) },
  { by: 'catch', look: (promise) => promise.catch((error: unknown) => Promise.reject(error)) },
  { by: 'finally', look: (promise) => promise.finally(() => {}) },
  { by: 'Promise.resolve', look: (promise) => Promise.resolve(promise) },
  { by: 'Promise.all', look: async (promise) => (await Promise.all([promise, promise]))[0] },
  { by: 'Promise.race', look: (promise) => Promise.race([promise, promise]) },
  { by: 'Promise.any', look: (promise) => Promise.any([promise, promise]) },
  {
    by: 'a promise resolved with it',
    look: (promise) => new Promise((resolve) => resolve(promise)),
  },
  { by: 'an async function', look: (promise) => (async () => promise)() },
];

describe('the promise of receive', () => {
  nothingUnhandled();

  it('is a native promise', () => {
    const { promise } = receiving();
    expect(promise).toBeInstanceOf(Promise);
    expect(Object.prototype.toString.call(promise)).toBe('[object Promise]');
    const ignore = (): void => {};
    expect(promise.then(ignore, ignore).constructor).toBe(Promise);
  });

  it.each(WAYS)('reports how the connection ended, seen by $by', async ({ look }) => {
    const { promise, end } = receiving();
    const seen = look(promise);
    end();
    expect(await seen).toMatchObject({ code: 1000, reason: 'bye' });
    expect(await look(promise)).toBe(await seen);
  });

  it.each(WAYS)('rejects, seen by $by', async ({ look }) => {
    const { promise, fail } = receiving();
    const before = look(promise).catch((error: unknown) => error);
    fail();
    const after = await look(promise).catch((error: unknown) => error);
    const told = (error: unknown): unknown =>
      error instanceof AggregateError ? error.errors[0] : error;
    expect(told(after)).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(told(await before)).toBe(told(after));
  });

  it('causes no unhandled rejection when it is ignored', () => {
    receiving().fail();
  });

  it('settles before the next call starts', async () => {
    const { conn, feed, frame } = wired('server');
    const first = conn.receive(() => {
      throw new Error('no');
    });
    feed(frame(TextMessage, 'hello'), frame(CloseMessage, formatCloseMessage(1000)));
    await expect(first).rejects.toThrow('no');
    await expect(conn.receive(() => {})).rejects.toThrow();
  });
});
