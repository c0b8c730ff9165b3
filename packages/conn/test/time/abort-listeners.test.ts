import { describe, expect, it, vi } from 'vitest';
import { addAbortListener, removeAbortListener } from '../../src/internal.ts';

/** A signal that counts its listeners and calls them on demand. */
function signalOf() {
  const listeners = new Set<() => void>();
  const signal = {
    addEventListener: (_: string, listener: () => void) => void listeners.add(listener),
    removeEventListener: (_: string, listener: () => void) => void listeners.delete(listener),
  } as unknown as AbortSignal;
  const abort = (): void => {
    for (const listener of listeners) listener();
  };
  return { signal, listeners, abort };
}

describe('the abort listeners of a signal', () => {
  it('share one listener, which is removed with the last call', () => {
    const { signal, listeners, abort } = signalOf();
    const calls = [vi.fn(), vi.fn()] as const;
    for (const call of [...calls, calls[0]]) addAbortListener(signal, call);
    expect(listeners.size).toBe(1);
    removeAbortListener(signal, calls[0]);
    abort();
    expect(calls.map((call) => call.mock.calls.length)).toEqual([0, 1]);
    removeAbortListener(signal, calls[0]);
    expect(listeners.size).toBe(1);
    removeAbortListener(signal, calls[1]);
    expect(listeners.size).toBe(0);
  });

  it('are not called once another one has removed them', () => {
    const { signal, abort } = signalOf();
    const second = vi.fn();
    addAbortListener(signal, () => removeAbortListener(signal, second));
    addAbortListener(signal, second);
    abort();
    expect(second).not.toHaveBeenCalled();
  });

  it.each([[undefined], [new Error('a bug')]])(
    'are called even if another one throws %s',
    (bug) => {
      const { signal, abort } = signalOf();
      const called: string[] = [];
      for (const [name, error] of [
        ['first', bug],
        ['second', new Error('another bug')],
      ] as const) {
        addAbortListener(signal, () => {
          called.push(name);
          throw error;
        });
      }
      addAbortListener(signal, () => called.push('third'));
      let thrown: unknown = 'nothing';
      try {
        abort();
      } catch (error) {
        thrown = error;
      }
      expect([called, thrown]).toEqual([['first', 'second', 'third'], bug]);
    },
  );
});
