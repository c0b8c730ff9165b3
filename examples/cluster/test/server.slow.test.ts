import { execFileSync } from 'node:child_process';
import { type Conn, dial } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  rejectedExample,
  rejectsWrongPort,
  STACK,
  startExample,
} from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CLIENTS = 8;
const MESSAGES = 20;

function parentOf(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'ppid=', '-p', `${pid}`]));
}

describe('examples/cluster', () => {
  let example: Example;
  const start = (): Promise<Example> => startExample('cluster', { WORKERS: '2' });
  beforeAll(async () => {
    example = await start();
    // The first process has printed its address. The tests need both.
    const { conn, pid } = await join();
    const { conn: other } = await joinOther(pid);
    await Promise.all([conn.close(), other.close()]);
  });
  afterAll(() => example?.stop());

  /** A client and its process. */
  async function join(ws = example.ws): Promise<{ conn: Conn; pid: number }> {
    const conn = await dial(ws);
    const [, pid] = /process (\d+)/.exec((await conn.readMessage()).text())!;
    return { conn, pid: Number(pid) };
  }

  /** A client of another process. */
  async function joinOther(pid: number): Promise<{ conn: Conn; pid: number }> {
    for (;;) {
      const member = await join();
      if (member.pid !== pid) return member;
      await member.conn.close();
    }
  }

  it('sends each message to the clients of all processes, in one order', async () => {
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

  it('continues after the death of a process', async () => {
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

  it('forwards messages while a process dies', async () => {
    const { conn, pid } = await join();
    const other = await joinOther(pid);
    const primary = parentOf(pid);
    // The primary gets the death and the messages in one turn.
    process.kill(primary, 'SIGSTOP');
    try {
      process.kill(other.pid, 'SIGKILL');
      expect((await other.conn.closed).code).toBe(1006);
      for (let i = 0; i < MESSAGES; i++) await conn.send(`message ${i}`);
      await conn.ping();
    } finally {
      process.kill(primary, 'SIGCONT');
    }
    for (let i = 0; i < MESSAGES; i++) {
      expect((await conn.readMessage()).text()).toBe(`message ${i}`);
    }
    const { conn: late } = await joinOther(pid);
    // The process of `late` asks for the messages of the room before it publishes this one.
    await late.send('still here');
    for (const each of [late, conn]) expect((await each.readMessage()).text()).toBe('still here');
    await Promise.all([conn.close(), late.close()]);
  });

  it('rejects an invalid number of processes', async () => {
    const refused = await rejectedExample('cluster', { WORKERS: 'some' });
    expect(refused).toMatch(/^\w+Error: workers: expected/m);
    expect(refused).not.toMatch(STACK);
  });

  rejectsWrongPort('cluster');

  endsWithSilentClient(start, async ({ ws }) => (await join(ws)).conn);
});
