import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { dial, ReconnectingConn } from '@ws/node-client';
import { ownPort, rounds } from '@ws/tests';
import {
  type Example,
  endsWithSilentClient,
  limitFileSize,
  rejectsWrongPort,
  startExample,
} from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

const ORDERS = rounds(1_000, 4_000);
const ENDS = ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGTERM'] as const;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'orders-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fileOf = (name: string): string => join(folder, `${name}.jsonl`);

const takenIn = (file: string): { id: string; text: string }[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; text: string });

/** Sends one order. Resolves with the answer, or with the code of the close frame. */
async function order({ ws }: Example, id: string, text = id): Promise<unknown> {
  const conn = await dial(ws);
  try {
    await conn.writeJSON({ id, text });
    return await conn.readJSON();
  } catch {
    return (await conn.closed).code;
  } finally {
    conn.terminate();
  }
}

describe('examples/orders', () => {
  it(`loses none of ${ORDERS} orders, and takes none twice, in three restarts and two kills`, {
    timeout: 120_000,
  }, async () => {
    const env = { ORDERS: fileOf('restarts'), PORT: `${await ownPort()}` };
    let example = await startExample('orders', env);
    onTestFinished(async () => void (await example.stop()));
    const live = new ReconnectingConn(example.ws, {
      minDelay: 10,
      maxDelay: 100,
      report: () => {},
      compression: true,
      resend: {
        id: (data) => (JSON.parse(data as string) as { id: string }).id,
        acknowledged: (message) => (message.json() as { taken?: string }).taken,
        hide: true,
        maxMessages: 200,
      },
    });
    onTestFinished(async () => void (await live.close()));
    const sent = new Set<string>();
    let acknowledged = 0;
    /** Sends one order after the other. 200 of these run, so 200 orders are on their way. */
    async function send(): Promise<void> {
      while (sent.size < ORDERS) {
        const id = randomUUID();
        sent.add(id);
        await live.send(JSON.stringify({ id, text: `order ${sent.size}` }));
        acknowledged++;
      }
    }
    const sending = Promise.all(Array.from({ length: 200 }, send));
    for (const [i, signal] of ENDS.entries()) {
      // In the middle of the orders, not between them.
      while (acknowledged < ((i + 1) * ORDERS) / (ENDS.length + 1)) await wait(1);
      await example.stop(signal);
      example = await startExample('orders', env);
    }
    await sending;
    expect(await live.close()).toEqual({ unsent: [] });
    const taken = takenIn(env.ORDERS).map(({ id }) => id);
    expect(taken).toHaveLength(sent.size);
    expect(new Set(taken)).toEqual(sent);
    expect(acknowledged).toBe(sent.size);
  });

  it('acknowledges an order that comes again, and takes it once', async () => {
    const env = { ORDERS: fileOf('again') };
    // The last line is that of a write that the machine did not finish.
    writeFileSync(env.ORDERS, `{"id":"old","text":"tea","at":${Date.now()}}\n{"id":"torn"`);
    const example = await startExample('orders', env);
    onTestFinished(async () => void (await example.stop()));
    const conn = await dial(example.ws);
    for (const id of ['old', 'torn', 'torn']) {
      await conn.writeJSON({ id, text: 'x' });
      expect(await conn.readJSON()).toEqual({ taken: id });
    }
    await conn.send('{"id":5}');
    expect((await conn.closed).code).toBe(1007);
    const lines = readFileSync(env.ORDERS, 'utf8').match(/^.*"at":\d+\}$/gm);
    expect(lines).toHaveLength(2);
  });

  it.runIf(process.platform === 'linux')(
    'keeps each acknowledged order when the disk is full within a write',
    async () => {
      const env = { ORDERS: fileOf('full') };
      const example = await startExample('orders', env);
      onTestFinished(async () => void (await example.stop()));
      expect(await order(example, 'one')).toEqual({ taken: 'one' });
      limitFileSize(example.pid, statSync(env.ORDERS).size + 20);
      expect(await order(example, 'two')).toBe(1011);
      limitFileSize(example.pid, 'unlimited');
      for (const id of ['three', 'three', 'two']) {
        expect(await order(example, id)).toEqual({ taken: id });
      }
      await example.stop('SIGKILL');
      const again = await startExample('orders', env);
      onTestFinished(async () => void (await again.stop()));
      expect(await order(again, 'three')).toEqual({ taken: 'three' });
      const lines = readFileSync(env.ORDERS, 'utf8').match(/^.*"at":\d+\}$/gm)!;
      const ids = lines.map((line) => (JSON.parse(line) as { id: string }).id);
      expect(ids).toEqual(['one', 'three', 'two']);
    },
  );

  it('refuses what is no order, and bounds its size', async () => {
    const example = await startExample('orders', { ORDERS: fileOf('hostile') });
    onTestFinished(async () => void (await example.stop()));
    const long = 'i'.repeat(37);
    for (const wrong of ['x', 'null', '[]', '{"id":"x"}', `{"id":"${long}","text":"x"}`]) {
      const conn = await dial(example.ws);
      await conn.send(wrong);
      expect([wrong, (await conn.closed).code]).toEqual([wrong, 1007]);
    }
    expect(await order(example, 'large', 'x'.repeat(70_000))).toBe(1009);
    expect(await order(example, 'tea')).toEqual({ taken: 'tea' });
  });

  it('has a client that prints what was taken', async () => {
    const example = await startExample('orders', { ORDERS: fileOf('client') });
    onTestFinished(async () => void (await example.stop()));
    const args = [...LOADER, 'client.ts', example.ws];
    const { status, stdout } = spawnSync(process.execPath, [...args, 'tea', 'coffee'], {
      cwd: join(import.meta.dirname, '..'),
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, 'taken: tea\ntaken: coffee\n']);
    expect(takenIn(fileOf('client')).map(({ text }) => text)).toEqual(['tea', 'coffee']);
  });

  rejectsWrongPort('orders');

  endsWithSilentClient(
    (): Promise<Example> => startExample('orders', { ORDERS: fileOf('silent') }),
    async ({ ws }) => dial(ws),
  );
});
