import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../src/index.ts';
import { checkPatience, type Patience, patiently } from '../src/patience.ts';
import { Deferred } from '../src/promises.ts';

/** A wait, and what becomes of it. */
function waitOf(patience: Patience, givesUp = true) {
  const host = new FakeHost();
  const started = new Deferred<string>();
  const seen: string[] = [];
  const waited = patiently(
    host,
    patience,
    () => {
      seen.push('started');
      return started.promise;
    },
    (promise, reason) => {
      expect(promise).toBe(started.promise);
      seen.push(`gives up: ${(reason as Error).message}`);
      return givesUp;
    },
  );
  waited.then(
    (value) => seen.push(value),
    (error: Error) => seen.push(`${error.name}: ${error.message}`),
  );
  return { host, started, seen, waited };
}

/** A signal that tells how many listen. */
function countedSignal() {
  const control = new AbortController();
  const { signal } = control;
  let listeners = 0;
  const addEventListener = signal.addEventListener.bind(signal) as (...args: unknown[]) => void;
  const removeEventListener = signal.removeEventListener.bind(signal) as typeof addEventListener;
  signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    addEventListener(...args);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    removeEventListener(...args);
  };
  return { control, signal, listeners: () => listeners };
}

describe('patiently', () => {
  it('is what it waits for, when nothing bounds it', () => {
    const { host, started, waited } = waitOf({});
    expect(waited).toBe(started.promise);
    expect(host.timers).toBe(0);
  });

  it.each(['resolves', 'rejects'] as const)('leaves nothing behind when that %s', async (how) => {
    const { control, signal, listeners } = countedSignal();
    const { host, started, seen } = waitOf({ signal, timeout: 100 });
    expect([host.timers, listeners()]).toEqual([1, 1]);
    if (how === 'resolves') started.resolve('there');
    else started.reject(new Error('gone'));
    await host.settle();
    const settled = ['started', how === 'resolves' ? 'there' : 'Error: gone'];
    expect(seen).toEqual(settled);
    expect([host.timers, listeners()]).toEqual([0, 0]);
    control.abort();
    await host.advance(1_000);
    expect(seen).toEqual(settled);
  });

  it('gives up when the time is over', async () => {
    const { control, signal, listeners } = countedSignal();
    const { host, seen, waited } = waitOf({ signal, timeout: 100 });
    await host.advance(99);
    expect(seen).toEqual(['started']);
    await host.advance(1);
    const over = 'websocket: nothing came in 100 ms';
    expect(seen).toEqual(['started', `gives up: ${over}`, `TimeoutError: ${over}`]);
    await expect(waited).rejects.toBeInstanceOf(TimeoutError);
    expect(listeners()).toBe(0);
    control.abort();
    await host.settle();
    expect(seen).toHaveLength(3);
  });

  it('listens to a signal without a time as well', async () => {
    const { control, signal, listeners } = countedSignal();
    const { host, seen } = waitOf({ signal });
    expect([host.timers, listeners()]).toEqual([0, 1]);
    control.abort(new Error('enough'));
    await host.settle();
    expect(seen).toEqual(['started', 'gives up: enough', 'Error: enough']);
  });

  it('gives up with the reason of the signal', async () => {
    const control = new AbortController();
    const { host, seen } = waitOf({ signal: control.signal, timeout: 100 });
    control.abort(new Error('enough'));
    await host.advance(1_000);
    expect(seen).toEqual(['started', 'gives up: enough', 'Error: enough']);
    expect(host.timers).toBe(0);
  });

  it('takes what has come in the moment in which it gives up', async () => {
    const { host, started, seen } = waitOf({ timeout: 100 }, false);
    await host.advance(100);
    expect(seen).toEqual(['started', 'gives up: websocket: nothing came in 100 ms']);
    started.resolve('there');
    await host.settle();
    expect(seen[2]).toBe('there');
  });

  it('starts nothing with a signal that is aborted', async () => {
    const { host, seen } = waitOf({ signal: AbortSignal.abort(new Error('before')) });
    await host.settle();
    expect(seen).toEqual(['Error: before']);
  });

  it.each([
    [null, 'expected options, got null'],
    [5, 'expected options, got'],
    [{ signal: {} }, 'signal: expected an AbortSignal'],
    [{ signal: null }, 'signal: expected an AbortSignal'],
    [{ signal: 5 }, 'signal: expected an AbortSignal'],
    [{ timeout: '5' }, 'timeout: expected'],
    [{ timeout: false }, 'timeout: expected'],
  ])('starts nothing with %j, and says what it expects', async (patience, words) => {
    const { host, seen, waited } = waitOf(patience as never);
    await host.settle();
    expect(seen).toEqual([expect.stringMatching(/^TypeError: /)]);
    await expect(waited).rejects.toThrow(words);
  });
});

describe('checkPatience', () => {
  it('takes options without a signal, and a signal of any make', () => {
    for (const options of [{}, { signal: undefined }, { signal: { addEventListener() {} } }])
      expect(() => checkPatience(options)).not.toThrow();
  });

  it.each([null, undefined, 5, 'x', { signal: null }, { signal: {} }, { signal: 5 }])(
    'refuses %j',
    (options) => {
      expect(() => checkPatience(options)).toThrow(TypeError);
    },
  );
});
