import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/index.ts';
import { timers } from '../leftovers.ts';
import { accepts, acceptsAndDrops, answers, connected, iterate, turn } from './iterating.ts';

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

  it('has handshakeTimeout to settle, and its signal aborts', async () => {
    const signals: AbortSignal[] = [];
    const headers = ({ signal }: { signal: AbortSignal }): Promise<never> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const errors: unknown[] = [];
    const iterator = iterate('ws://h:81/', {
      headers,
      handshakeTimeout: 20,
      retry: (error, { tries }) => {
        errors.push(error);
        if (tries === 2) return false;
      },
    });
    await expect(iterator.next()).rejects.toBeInstanceOf(TimeoutError);
    expect(errors).toHaveLength(2);
    expect(errors[0]).toMatchObject({
      message:
        'websocket: handshake with h:81 timed out after 20 ms (option handshakeTimeout) while waiting for the headers function',
    });
    expect(signals.map((signal) => signal.reason as unknown)).toEqual(errors);
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

  it('is not awaited after the iteration has ended, and its signal aborts', async () => {
    const signals: AbortSignal[] = [];
    const headers = ({ signal }: { signal: AbortSignal }): Promise<never> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const left = iterate('ws://h/', { headers });
    const controller = new AbortController();
    const aborted = iterate('ws://h/', { headers, signal: controller.signal });
    const steps = [left.next(), aborted.next()];
    await turn();
    await left.return?.();
    controller.abort();
    expect(await Promise.all(steps)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
