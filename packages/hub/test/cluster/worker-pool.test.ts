import cluster, { type Worker } from 'node:cluster';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkerPool } from '../../src/cluster/worker-pool.ts';

/** A worker without a process. */
class FakeWorker extends EventEmitter {
  /** Whether workers ignore the message to close. */
  static hangs = false;
  readonly process: { readonly pid: number; readonly kill: (signal: string) => void };
  /** What the primary has done to it. */
  readonly got: unknown[] = [];

  constructor(pid: number) {
    super();
    const kill = (signal: string): void => {
      this.got.push(signal);
      this.emit('exit', null, signal);
    };
    this.process = { pid, kill };
  }

  send(message: unknown): void {
    this.got.push(message);
    if (!FakeWorker.hangs) this.emit('exit', 0, null);
  }

  start(): void {
    this.emit('message', { '@ws/hub/cluster': ['ready'] });
  }
}

const workers: FakeWorker[] = [];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  workers.length = 0;
  vi.spyOn(cluster, 'fork').mockImplementation(() => {
    workers.push(new FakeWorker(workers.length + 1));
    return workers.at(-1) as unknown as Worker;
  });
});
afterEach(() => {
  FakeWorker.hangs = false;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A pool of two workers that have started. */
async function startPool(): Promise<WorkerPool> {
  const pool = new WorkerPool(2);
  const running = pool.run();
  for (const worker of workers) worker.start();
  await running;
  return pool;
}

describe('replace', () => {
  it('rejects, and keeps the old workers, when a new one does not start within 2 minutes', async () => {
    const pool = await startPool();
    const replacing = pool.replace();
    const failed = expect(replacing).rejects.toThrow('worker 3 had not started after 2 minutes');
    await vi.advanceTimersByTimeAsync(119_999);
    expect(workers.map(({ got }) => got)).toEqual([[], [], []]);
    await vi.advanceTimersByTimeAsync(1);
    await failed;
    expect(workers.map(({ got }) => got)).toEqual([[], [], ['SIGKILL']]);

    const again = pool.replace();
    for (const next of [3, 4]) {
      await expect.poll(() => workers.length).toBe(next + 1);
      workers[next]!.start();
    }
    await again;
    expect(workers.map(({ got }) => got.length)).toEqual([1, 1, 1, 0, 0]);
    await pool.close();
  });

  it('rejects with the error of start when the worker ends, not before', async () => {
    const pool = await startPool();
    const replacing = pool.replace();
    await expect.poll(() => workers.length).toBe(3);
    // The application may send a message that looks like a failure.
    const failed = (text: string) => ({
      '@ws/hub/cluster': ['failed', new Error(text), { code: 1 }],
    });
    workers[2]!.emit('message', failed('of the application'));
    workers[2]!.start();
    await expect.poll(() => workers.length).toBe(4);
    workers[3]!.emit('message', failed('of start'));
    workers[3]!.emit('exit', 1, null);
    await expect(replacing).rejects.toMatchObject({ message: 'of start', code: 1 });
    expect(workers.map(({ got }) => got.length)).toEqual([1, 0, 0, 0]);
    await pool.close();
  });
});

describe('B5 many calls of replace', () => {
  it('start one replacement, and one more for all calls during it', async () => {
    const pool = await startPool();
    const first = pool.replace();
    await expect.poll(() => workers.length).toBe(3);
    const next = [pool.replace(), pool.replace(), pool.replace()];
    expect(new Set(next).size).toBe(1);
    for (const started of [3, 4, 5, 6]) {
      await expect.poll(() => workers.length).toBe(started);
      workers.at(-1)!.start();
    }
    await Promise.all([first, ...next]);
    expect(workers).toHaveLength(6);
    // A failure belongs to the calls of that replacement only.
    const fails = pool.replace();
    await expect.poll(() => workers.length).toBe(7);
    const later = [pool.replace(), pool.replace()];
    const failed = expect(fails).rejects.toThrow('before it had started');
    workers[6]!.emit('exit', 1, null);
    await failed;
    for (const started of [8, 9]) {
      await expect.poll(() => workers.length).toBe(started);
      workers.at(-1)!.start();
    }
    await Promise.all(later);
    await pool.close();
  });
});

describe('B6 a close during a replacement', () => {
  it('gives the worker that is being replaced its own times', async () => {
    const pool = await startPool();
    const replacing = pool.replace();
    await expect.poll(() => workers.length).toBe(3);
    FakeWorker.hangs = true;
    workers[2]!.start();
    await expect.poll(() => workers[0]!.got).toHaveLength(1);
    const closed = pool.close({ timeout: 1_000 });
    const close = (...args: unknown[]) => ({ '@ws/hub/cluster': ['close', ...args] });
    const sooner = close({ timeout: 1_000 }, false);
    expect(workers.map(({ got }) => got)).toEqual([
      [close({ over: 10_000 }, true), sooner],
      [sooner],
      [sooner],
    ]);
    await vi.advanceTimersByTimeAsync(6_900);
    expect(workers[0]!.got).not.toContain('SIGKILL');
    await vi.advanceTimersByTimeAsync(200);
    for (const { got } of workers) expect(got.at(-1)).toBe('SIGKILL');
    await Promise.all([closed, replacing]);
    expect(process.exitCode).toBe(1);
    process.exitCode = undefined;
  });

  it('never gives a worker more time than it had', async () => {
    const pool = await startPool();
    FakeWorker.hangs = true;
    const closed = pool.close({ timeout: 1_000 });
    void pool.close({ timeout: 60_000 });
    await vi.advanceTimersByTimeAsync(7_100);
    for (const { got } of workers) expect(got.at(-1)).toBe('SIGKILL');
    await closed;
    process.exitCode = undefined;
  });
});

describe('a worker that has ended', () => {
  // Node throws for ENOMEM.
  it('gets a successor, also when the first attempt to create it throws', async () => {
    const pool = await startPool();
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const print = vi.spyOn(console, 'error').mockImplementation(() => {});
    const error = new Error('spawn ENOMEM');
    vi.spyOn(cluster, 'fork').mockImplementationOnce(() => {
      throw error;
    });
    workers[0]!.emit('exit', null, 'SIGKILL');
    await expect.poll(() => workers.length).toBe(3);
    expect(print.mock.calls).toEqual([[error]]);
    expect(workers[1]!.got).toEqual([]);
    await pool.close();
  });
});
