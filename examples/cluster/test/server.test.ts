import { type Conn, dial } from '@ws/node-client';
import { type Example, endsBesidesSilent, startExample } from '@ws/testkit/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SLOW_START = 60_000;
const CLIENTS = 8;

describe('examples/cluster', () => {
  let example: Example;
  const start = (): Promise<Example> => startExample('cluster', { WORKERS: '2' });
  beforeAll(async () => void (example = await start()), SLOW_START);
  afterAll(() => example?.stop());

  /** A client, and the process that it is connected to. */
  async function join(ws = example.ws): Promise<{ conn: Conn; pid: number }> {
    const { conn } = await dial(ws);
    const [, pid] = /process (\d+)/.exec((await conn.readMessage()).text())!;
    return { conn, pid: Number(pid) };
  }

  it('brings what one says to all, in every process, in one order', async () => {
    const all = [];
    for (let i = 0; i < CLIENTS; i++) all.push(await join());
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(2);
    for (const [i, { conn }] of all.entries()) await conn.send(`from ${i}`);
    const heard = await Promise.all(
      all.map(async ({ conn }) => {
        const texts = [];
        while (texts.length < CLIENTS) texts.push((await conn.readMessage()).text());
        return texts;
      }),
    );
    expect(heard[0]!.toSorted()).toEqual(all.map((_, i) => `from ${i}`).toSorted());
    for (const texts of heard) expect(texts).toEqual(heard[0]);
    await Promise.all(all.map(({ conn }) => conn.close()));
  });

  it('goes on without a process that dies', { timeout: SLOW_START }, async () => {
    const { conn, pid } = await join();
    process.kill(pid, 'SIGKILL');
    expect((await conn.closed).code).toBe(1006);
    const pids = new Set<number>();
    while (pids.size < 2) {
      const { conn: next, pid: other } = await join();
      pids.add(other);
      await next.close();
    }
    expect(pids).not.toContain(pid);
  });

  endsBesidesSilent(start, async ({ ws }) => (await join(ws)).conn);
});
