import { describe, expect, it } from 'vitest';
import { wired } from '../wired.ts';

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

describe('a read with a timeout and a signal', () => {
  it.each(['resolves', 'rejects'] as const)(
    'leaves no timer and no listener when it %s',
    async (how) => {
      const { control, signal, listeners } = countedSignal();
      const { conn, platform, transport, feed, frame } = wired('server', { idleReadTimeout: false });
      await platform.settle();
      const read = conn.readMessage({ signal, timeout: 100 });
      expect([platform.timers, listeners()]).toEqual([1, 1]);
      if (how === 'resolves') {
        feed(frame(1, 'there'));
        expect((await read).text()).toBe('there');
      } else {
        transport.break(new Error('gone'));
        await expect(read).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
      }
      control.abort();
      await platform.advance(1_000);
      expect([platform.timers, listeners()]).toEqual([0, 0]);
    },
  );
});
