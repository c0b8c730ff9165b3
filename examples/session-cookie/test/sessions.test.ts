import type { Conn } from '@ws/node-server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sessions, sessionId } from '../sessions.ts';

const MONTH_SECONDS = 2_592_000;

describe('the sessions of examples/session-cookie', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  it('refuse a new connection from the millisecond of their end, and leave open ones to the server', () => {
    const sessions = new Sessions(MONTH_SECONDS);
    const id = sessionId(sessions.open('ada'));
    const close = vi.fn();
    sessions.find(id)?.add({ close, closed: new Promise(() => {}) } as unknown as Conn);

    vi.setSystemTime(MONTH_SECONDS * 1000 - 1);
    expect(sessions.find(id)?.user).toBe('ada');
    vi.setSystemTime(MONTH_SECONDS * 1000);
    expect(sessions.find(id)).toBeUndefined();
    vi.advanceTimersByTime(1_000);
    expect(close).not.toHaveBeenCalled();
  });

  it('stay open when another one expires', () => {
    const sessions = new Sessions(60);
    sessions.open('ada');
    vi.advanceTimersByTime(30_000);
    const id = sessionId(sessions.open('grace'));
    vi.advanceTimersByTime(59_000);
    expect(sessions.find(id)?.user).toBe('grace');
    vi.advanceTimersByTime(1_000);
    expect(sessions.find(id)).toBeUndefined();
  });

  it('use one timer for any number of sessions', () => {
    const sessions = new Sessions(MONTH_SECONDS);
    for (let i = 0; i < 10; i++) sessions.end(sessionId(sessions.open('ada')));
    expect(vi.getTimerCount()).toBe(1);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'reject a length of %s seconds',
    (seconds) => {
      expect(() => new Sessions(seconds)).toThrow(RangeError);
    },
  );
});
