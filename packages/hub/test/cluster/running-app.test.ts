import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RunningApp } from '../../src/cluster/worker.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** An application whose first `close` settles when the test says so. */
async function startApp() {
  const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
  const calls: object[] = [];
  let settle!: () => void;
  const closed = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const app = new RunningApp();
  await app.start(() => ({
    close(options) {
      calls.push(options);
      if (calls.length > 1) throw new Error('is not called twice in this application');
      return closed;
    },
  }));
  return { app, exit, calls, settle };
}

describe('B6 RunningApp.close', () => {
  it('closes the application sooner by a later call with shorter times', async () => {
    const { app, exit, calls, settle } = await startApp();
    const first = app.close({ over: 10_000 });
    expect(app.close({ timeout: 1_000 })).toBe(first);
    expect(app.close({ over: 10_000 })).toBe(first);
    expect(calls).toEqual([{ over: 10_000 }, { timeout: 1_000, over: 0 }]);
    await vi.advanceTimersByTimeAsync(6_900);
    expect(exit).not.toHaveBeenCalled();
    settle();
    await first;
    await vi.advanceTimersByTimeAsync(120_000);
    expect(exit).not.toHaveBeenCalled();
    expect(process.exitCode).toBeUndefined();
  });

  it('ends the process when the shorter time is over', async () => {
    const { app, exit } = await startApp();
    void app.close({ over: 10_000 });
    void app.close({ timeout: 1_000 });
    await vi.advanceTimersByTimeAsync(7_100);
    expect(exit.mock.calls).toEqual([[1]]);
  });
});

describe('102 RunningApp.close with drain', () => {
  it('closes the application after it, and tells the servers of the process before', async () => {
    const { app, calls, settle } = await startApp();
    const name = `WS_DRAINING_${process.pid}`;
    const closed = app.close({ drain: 5_000, over: 1_000 });
    expect([calls, process.env[name]]).toEqual([[], '1']);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(calls).toEqual([{ over: 1_000 }]);
    settle();
    await closed;
    expect(process.env[name]).toBeUndefined();
  });

  it('ends it by a later call with shorter times, and closes the application once', async () => {
    const { app, exit, calls, settle } = await startApp();
    const closed = app.close({ drain: 60_000 });
    expect(app.close({ timeout: 1_000 })).toBe(closed);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toEqual([{ timeout: 1_000, over: 0 }]);
    settle();
    await closed;
    expect([exit.mock.calls, process.exitCode, vi.getTimerCount()]).toEqual([[], undefined, 0]);
  });
});
