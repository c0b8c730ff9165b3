// What it costs to cancel requests that wait, counted by V8.
import { Session } from 'node:inspector/promises';
import { connPair } from '@ws/conn';
import { contract, method } from '@ws/rpc';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { never, quietly } from './pairs.ts';

const jobs = contract({ server: { job: method(z.number(), z.null()) } });

/** Counts how often blocks of our code run while `work` runs. */
async function blocksIn(work: () => Promise<void>): Promise<number> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    await work();
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const ours = result.filter(({ url }) => /\/packages\/\w+\/src\//.test(url));
    const ranges = ours.flatMap(({ functions }) => functions.flatMap((one) => one.ranges));
    return ranges.reduce((sum, { count }) => sum + count, 0);
  } finally {
    session.disconnect();
  }
}

/** Blocks that run when a peer cancels `count` waiting requests, the last one first. */
async function cancels(count: number): Promise<number> {
  const [raw, ours] = connPair();
  quietly(jobs.serve({ job: never }, { concurrency: 1 })(ours));
  let answered!: () => void;
  const allAnswered = new Promise<void>((resolve) => (answered = resolve));
  let answers = 0;
  void raw.receive(() => {
    if (++answers === count) answered();
  });
  const send = (message: object): Promise<void> =>
    raw.send(JSON.stringify({ jsonrpc: '2.0', ...message }));
  for (let id = 0; id <= count; id++) await send({ id, method: 'job', params: [id] });
  const blocks = await blocksIn(async () => {
    for (let id = count; id > 0; id--) await send({ method: '$/cancelRequest', params: { id } });
    await allAnswered;
  });
  raw.terminate();
  return blocks;
}

it('10,000 requests that wait and are cancelled in reverse cost ten times 1,000', async () => {
  const few = await cancels(1_000);
  const many = await cancels(10_000);
  expect(few).toBeGreaterThan(10_000);
  expect(many / few).toBeLessThan(11);
});
