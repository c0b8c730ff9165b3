import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/index.ts';
import { Deferred } from '../../src/time/promises.ts';
import { checkWaitOptions, type WaitOptions, withTimeout } from '../../src/time/wait.ts';

/** A wait, and what becomes of it. */
function waitOf(wait: WaitOptions, givesUp = true) {
  const platform = new FakePlatform();
  const started = new Deferred<string>();
  const seen: string[] = [];
  const waited = withTimeout(
    platform,
    wait,
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
  return { platform, started, seen, waited };
}

/** A signal that counts its listeners. */
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

describe('withTimeout', () => {
  it('returns the same promise without a bound', () => {
    const { platform, started, waited } = waitOf({});
    expect(waited).toBe(started.promise);
    expect(platform.timers).toBe(0);
  });

  it.each(['resolves', 'rejects'] as const)(
    'leaves no timer and no listener when the promise %s',
    async (how) => {
      const { control, signal, listeners } = countedSignal();
      const { platform, started, seen } = waitOf({ signal, timeout: 100 });
      expect([platform.timers, listeners()]).toEqual([1, 1]);
      if (how === 'resolves') started.resolve('there');
      else started.reject(new Error('gone'));
      await platform.settle();
      const settled = ['started', how === 'resolves' ? 'there' : 'Error: gone'];
      expect(seen).toEqual(settled);
      expect([platform.timers, listeners()]).toEqual([0, 0]);
      control.abort();
      await platform.advance(1_000);
      expect(seen).toEqual(settled);
    },
  );

  it('rejects when the time is over', async () => {
    const { control, signal, listeners } = countedSignal();
    const { platform, seen, waited } = waitOf({ signal, timeout: 100 });
    await platform.advance(99);
    expect(seen).toEqual(['started']);
    await platform.advance(1);
    const over = 'websocket: timed out after 100 ms (option timeout)';
    expect(seen).toEqual(['started', `gives up: ${over}`, `TimeoutError: ${over}`]);
    await expect(waited).rejects.toBeInstanceOf(TimeoutError);
    expect(listeners()).toBe(0);
    control.abort();
    await platform.settle();
    expect(seen).toHaveLength(3);
  });

  it('listens to a signal without a timeout as well', async () => {
    const { control, signal, listeners } = countedSignal();
    const { platform, seen } = waitOf({ signal });
    expect([platform.timers, listeners()]).toEqual([0, 1]);
    control.abort(new Error('enough'));
    await platform.settle();
    expect(seen).toEqual(['started', 'gives up: enough', 'Error: enough']);
  });

  it('rejects with the reason of the signal', async () => {
    const control = new AbortController();
    const { platform, seen } = waitOf({ signal: control.signal, timeout: 100 });
    control.abort(new Error('enough'));
    await platform.advance(1_000);
    expect(seen).toEqual(['started', 'gives up: enough', 'Error: enough']);
    expect(platform.timers).toBe(0);
  });

  it('returns a result that arrived at the moment of the timeout', async () => {
    const { platform, started, seen } = waitOf({ timeout: 100 }, false);
    await platform.advance(100);
    expect(seen).toEqual([
      'started',
      'gives up: websocket: timed out after 100 ms (option timeout)',
    ]);
    started.resolve('there');
    await platform.settle();
    expect(seen[2]).toBe('there');
  });

  it('does not start with an aborted signal', async () => {
    const { platform, seen } = waitOf({ signal: AbortSignal.abort(new Error('before')) });
    await platform.settle();
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
  ])('does not start with %j, and describes the expected value', (options, words) => {
    const platform = new FakePlatform();
    const start = (): never => expect.fail('started');
    const wait = (): unknown => withTimeout(platform, options as never, start, () => true);
    expect(wait).toThrow(TypeError);
    expect(wait).toThrow(words);
    expect(platform.timers).toBe(0);
  });
});

describe('checkWaitOptions', () => {
  it('accepts options without a signal, and any signal-like object', () => {
    for (const options of [{}, { signal: undefined }, { signal: { addEventListener() {} } }])
      expect(() => checkWaitOptions(options)).not.toThrow();
  });

  it.each([null, undefined, 5, 'x', { signal: null }, { signal: {} }, { signal: 5 }])(
    'rejects %j',
    (options) => {
      expect(() => checkWaitOptions(options)).toThrow(TypeError);
    },
  );
});
