// The request by which a page finds out that its connection is dead.
import { connPair } from '@ws/conn';
import { contract, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { inHub } from './in-hub.ts';
import { until, useFakeClock } from './pairs.ts';

useFakeClock();

const jobs = contract({ server: { job: method(z.number(), z.null()) } });
const QUESTION = '{"jsonrpc":"2.0","id":"$/alive","method":"$/alive"}';

function setUp(way: 'serve' | 'listener') {
  const [raw, ours] = connPair({ report: () => {} });
  const handlers = { job: () => new Promise<null>(() => {}) };
  if (way === 'serve') void jobs.serve(handlers)(ours);
  else inHub(ours, jobs.listener(handlers) as never);
  const got: unknown[] = [];
  void raw.receive((message) => void got.push(message.json()));
  let id = 0;
  const job = (): void =>
    void raw.writeJSON({ jsonrpc: '2.0', id: ++id, method: 'job', params: [1] });
  return { raw, got, job };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

const answer = { jsonrpc: '2.0', id: '$/alive', result: null };

describe.each(['serve', 'listener'] as const)('the question $/alive, through %s', (way) => {
  it('has its answer beside a slow handler, and before requests that wait', async () => {
    const { raw, got, job } = setUp(way);
    for (let i = 0; i < 100; i++) job();
    void raw.send(QUESTION);
    await until(() => expect(got).toEqual([answer]));
    raw.terminate();
  });

  it('has its answer at the bound of requests that wait', async () => {
    const { raw, got, job } = setUp(way);
    for (let i = 0; i < 400; i++) job();
    void raw.send(QUESTION);
    // Reading pauses for 10 s.
    await turns();
    await vi.advanceTimersByTimeAsync(11_000);
    await until(() => expect(got).toContainEqual(answer));
    raw.terminate();
  });

  it('has a sign of life as its answer while reading pauses, when it was asked before', async () => {
    const { raw, got, job } = setUp(way);
    void raw.send(QUESTION);
    await until(() => expect(got).toEqual([answer]));
    for (let i = 0; i < 400; i++) job();
    await turns();
    void raw.send(QUESTION);
    await vi.advanceTimersByTimeAsync(4_000);
    const sign = { jsonrpc: '2.0', method: '$/alive' };
    await until(() => expect(got.slice(1)).toEqual([sign, sign]));
    raw.terminate();
  });
});
