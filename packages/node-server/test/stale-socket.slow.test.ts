// Several processes start at once over a stale Unix socket.
import { type ChildProcess, fork } from 'node:child_process';
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import { LOADER } from '@ws/tests/loader';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { leaveSocket } from './left-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'stale-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const newPath = (): string => join(folder, `${++files}.sock`);

describe('285 two starts at once over a stale Unix socket', () => {
  it('are one server, and EADDRINUSE in three other processes, a hundred times', async () => {
    const program = join(import.meta.dirname, 'stale-socket.program.ts');
    const starts = [0, 1, 2, 3].map(() => fork(program, [], { execArgv: [...LOADER] }));
    onTestFinished(() => starts.forEach((start) => start.kill('SIGKILL')));
    await Promise.all(starts.map((start) => once(start, 'message')));
    for (let i = 0; i < 100; i++) {
      const socketPath = newPath();
      await leaveSocket(socketPath);
      const answers = await Promise.all(starts.map((start) => ask(start, { socketPath })));
      expect(answers.toSorted()).toEqual([...Array(3).fill('EADDRINUSE'), 'listens']);
      const winner = starts[answers.indexOf('listens')]!;
      const conn = await dial(`ws+unix:${socketPath}:/`);
      expect((await conn.readMessage()).text()).toBe(String(winner.pid));
      conn.terminate();
      expect(await ask(winner, 'close')).toBe('closed');
    }
  });

  it('are one socket for all workers of a cluster', async () => {
    const program = join(import.meta.dirname, 'stale-socket.program.ts');
    cluster.setupPrimary({ exec: program, execArgv: [...LOADER] });
    const workers = [0, 1, 2, 3].map(() => cluster.fork());
    onTestFinished(() => workers.forEach((worker) => worker.process.kill('SIGKILL')));
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    for (let i = 0; i < 20; i++) {
      const socketPath = newPath();
      await leaveSocket(socketPath);
      const answers = await Promise.all(workers.map((worker) => ask(worker, { socketPath })));
      expect(answers).toEqual(Array(4).fill('listens'));
      await Promise.all(workers.map((worker) => ask(worker, 'close')));
    }
  });
});

async function ask(start: ChildProcess | Worker, request: object | string): Promise<string> {
  const answer = once(start, 'message');
  start.send(request);
  return ((await answer) as [string])[0];
}
