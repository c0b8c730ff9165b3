// One signal of the caller for many dials and iterations.
import { getEventListeners, once } from 'node:events';
import { retryUntilTimer } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Dialer, reconnecting } from '../src/index.ts';
import { rawServer } from './servers.ts';

const MANY = 30;
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/**
 * Returns the warnings about listeners during `work`. Other warnings may come from the test files
 * before: they share this process, and a reporter repeats an error of theirs after a second.
 */
async function listenerWarnings(work: () => Promise<void>): Promise<Error[]> {
  const seen: Error[] = [];
  const onWarning = (warning: Error): void => {
    if (warning.name === 'MaxListenersExceededWarning') seen.push(warning);
  };
  process.on('warning', onWarning);
  await work();
  // A warning is emitted in a later turn.
  await turn();
  process.off('warning', onWarning);
  return seen;
}

describe('one signal', () => {
  it('ends many dials, for which it has one listener', async () => {
    const server = await rawServer(() => {});
    const controller = new AbortController();
    const { signal } = controller;
    const seen = await listenerWarnings(async () => {
      const dialer = new Dialer();
      const dials = Array.from({ length: MANY }, () => dialer.dial(server.url, { signal }));
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      const reason = new Error('enough');
      controller.abort(reason);
      const results = await Promise.allSettled(dials);
      expect(results).toEqual(dials.map(() => ({ status: 'rejected', reason })));
    });
    expect(seen).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await server.gone();
  });

  it('ends many iterations, for which it has one listener', async () => {
    const server = await rawServer((socket, request) => {
      socket.write(request.ok());
      // The close frame.
      socket.once('data', (frame) => socket.end(frame));
    });
    const controller = new AbortController();
    const { signal } = controller;
    const seen = await listenerWarnings(async () => {
      const iterators = Array.from({ length: MANY }, () =>
        reconnecting(server.url, { signal, closeTimeout: 1000 })[Symbol.asyncIterator](),
      );
      await Promise.all(iterators.map((iterator) => iterator.next()));
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      controller.abort();
      const ends = await Promise.all(iterators.map((iterator) => iterator.next()));
      expect(ends).toEqual(iterators.map(() => ({ done: true, value: undefined })));
    });
    expect(seen).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('has its listener until the last of them ends, and again for the next', async () => {
    const server = await rawServer((socket, request) => {
      if (request.text.startsWith('GET /now ')) socket.write(request.ok());
    });
    const controller = new AbortController();
    const { signal } = controller;
    const dialer = new Dialer();
    const later = dialer.dial(`${server.url}/later`, { signal });
    const heard = later.catch((error: unknown) => error);
    const conn = await dialer.dial(`${server.url}/now`, { signal });
    conn.terminate();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    const aborted = once(signal, 'abort');
    controller.abort();
    await aborted;
    expect(await heard).toBe(signal.reason);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('keeps no listener of 2,000 dials, although it never aborts', async () => {
    const server = await rawServer((socket, request) => void socket.write(request.ok()));
    const { signal } = new AbortController();
    const failing = new Dialer({ netDial: () => Promise.reject(new Error('refused')) });
    const dialer = new Dialer();
    for (let i = 0; i < 20; i++) {
      const dials = Array.from({ length: 99 }, () => failing.dial('ws://h/', { signal }));
      const results = await Promise.allSettled(dials);
      expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['rejected']));
      const conn = await dialer.dial(server.url, { signal });
      expect(getEventListeners(signal, 'abort')).toEqual([]);
      conn.terminate();
    }
  });

  it('that has aborted lets timers run when a loop dials again and again', async () => {
    const signal = AbortSignal.abort('stop');
    const dialer = new Dialer();
    expect(await retryUntilTimer(() => dialer.dial('ws://127.0.0.1:1', { signal }))).toBe('stop');
  });

  it('that has aborted rejects a dial with its reason, and no connection is opened', async () => {
    let opened = 0;
    const dialer = new Dialer({
      netDial: () => {
        opened++;
        return Promise.reject(new Error('refused'));
      },
    });
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    let settled = false;
    const dialing = dialer.dial('ws://h/', { signal }).finally(() => (settled = true));
    dialing.catch(() => {});
    await turn();
    expect(settled).toBe(true);
    await expect(dialing).rejects.toBe(reason);
    expect(opened).toBe(0);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
