import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type ReconnectingOptions, TimeoutError } from '../../src/index.ts';
import { timers } from '../leftovers.ts';
import { accepts, acceptsAndDrops, answers, connected, iterate, turn } from './iterating.ts';

type Iterated = ReturnType<typeof iterate>;

describe('a function for headers', () => {
  it('is called before every dial', async () => {
    const requests: string[] = [];
    const server = await answers((socket, request) => {
      requests.push(request.text);
      acceptsAndDrops(socket, request);
    });
    let n = 0;
    const iterator = iterate(server.url, {
      headers: async () => {
        await turn();
        return { Authorization: `Bearer ${++n}` };
      },
    });
    for (let i = 0; i < 3; i++) await connected(iterator);
    expect(requests.map((text) => /Bearer (\d)/.exec(text)?.[1])).toEqual(['1', '2', '3']);
  });

  it('ends the iteration with a TypeError for headers that cannot be sent', async () => {
    const iterator = iterate('ws://h/', { headers: () => ({ Upgrade: 'x' }) });
    await expect(iterator.next()).rejects.toBeInstanceOf(TypeError);
    for (const [value, got] of [
      [undefined, 'undefined'],
      [null, 'null'],
      ['Authorization: x', 'string'],
    ]) {
      const nothing = iterate('ws://h/', { headers: () => value as never });
      await expect(nothing.next()).rejects.toEqual(
        new TypeError(`headers: expected an object or pairs from the function, got ${got}`),
      );
    }
  });

  it('has no bound when handshakeTimeout is off', async () => {
    const before = timers();
    const server = await answers(accepts);
    const headers = async (): Promise<object> => {
      await turn();
      expect(timers()).toBeLessThanOrEqual(before);
      return {};
    };
    await connected(iterate(server.url, { headers: headers as never, handshakeTimeout: false }));
  });
});

type Fresh = (context: { readonly signal: AbortSignal }) => Promise<never>;

describe.each<[string, string, (fresh: Fresh, options: ReconnectingOptions) => Iterated]>([
  ['url', 'the server', (fresh, options) => iterate(fresh, options)],
  ['headers', 'h:81', (headers, options) => iterate('ws://h:81/', { ...options, headers })],
])('a function for %s that never settles', (name, peer, start) => {
  /** Keeps the signals that it gets. */
  function pending(): { signals: AbortSignal[]; fresh: Fresh } {
    const signals: AbortSignal[] = [];
    const fresh: Fresh = ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    return { signals, fresh };
  }

  it('has handshakeTimeout, and its signal aborts', async () => {
    const { signals, fresh } = pending();
    const errors: unknown[] = [];
    const iterator = start(fresh, {
      handshakeTimeout: 20,
      retry: (error, { tries }) => {
        errors.push(error);
        if (tries === 2) return false;
      },
    });
    await expect(iterator.next()).rejects.toBeInstanceOf(TimeoutError);
    expect(errors).toHaveLength(2);
    expect(errors[0]).toMatchObject({
      message: `websocket: handshake with ${peer} timed out after 20 ms (option handshakeTimeout) while waiting for the ${name} function`,
    });
    expect(signals.map((signal) => signal.reason as unknown)).toEqual(errors);
    for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('is not awaited after the iteration has ended, and its signal aborts', async () => {
    const { signals, fresh } = pending();
    const left = start(fresh, {});
    const controller = new AbortController();
    const aborted = start(fresh, { signal: controller.signal });
    const steps = [left.next(), aborted.next()];
    await turn();
    await left.return?.();
    controller.abort();
    const done = { done: true, value: undefined };
    expect(await Promise.all(steps)).toEqual([done, done]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
