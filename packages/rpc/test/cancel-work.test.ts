// What it costs to cancel requests that wait, counted by V8.
import { Session } from 'node:inspector/promises';
import { afterAll, expect, it } from 'vitest';
import { z } from 'zod';

const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
// V8 counts the blocks of functions that it compiles from now on.
const { connPair } = await import('@ws/conn');
const { contract, method } = await import('@ws/rpc');
const { never, quietly } = await import('./pairs.ts');

afterAll(() => session.disconnect());

/** How often blocks of the code of our packages have run since the last call. */
async function blocks(): Promise<number> {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const ours = result.filter(({ url }) => /\/packages\/\w+\/src\//.test(url));
  const ranges = ours.flatMap(({ functions }) => functions.flatMap((one) => one.ranges));
  return ranges.reduce((sum, { count }) => sum + count, 0);
}

/** Blocks that run when a peer cancels `count` waiting requests, the last one first. */
async function cancels(count: number): Promise<number> {
  const jobs = contract({ server: { job: method(z.number(), z.null()) } });
  const [raw, ours] = connPair();
  quietly(jobs.serve({ job: never }, { concurrency: 1 })(ours));
  let answered!: () => void;
  const allAnswered = new Promise<void>((resolve) => (answered = resolve));
  let answers = 0;
  void raw.receive((message) => {
    // A server that gets no CPU for 1.9 s also sends signs of life.
    const isAnswer = (message.json() as { id?: number }).id !== undefined;
    if (isAnswer && ++answers === count) answered();
  });
  const send = (message: object): Promise<void> =>
    raw.send(JSON.stringify({ jsonrpc: '2.0', ...message }));
  for (let id = 0; id <= count; id++) await send({ id, method: 'job', params: [id] });
  await raw.ping();
  await blocks();
  for (let id = count; id > 0; id--) await send({ method: '$/cancelRequest', params: { id } });
  await allAnswered;
  const work = await blocks();
  raw.terminate();
  return work;
}

it('10,000 requests that wait and are cancelled in reverse cost ten times 1,000', async () => {
  const few = await cancels(1_000);
  const many = await cancels(10_000);
  expect(few).toBeGreaterThan(100_000);
  expect(many / few).toBeLessThan(11);
});
