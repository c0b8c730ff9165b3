import { dial } from '@ws/node-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawSocket } from './raw-socket.ts';
import { DATES, lacksRuntime, type Running, start } from './runtimes.ts';

describe.skipIf(lacksRuntime('Durable Object')).each(DATES)('hibernating, of %s', (date) => {
  let program: Running;
  beforeAll(async () => {
    program = await start('Durable Object', undefined, date);
  });
  afterAll(() => program?.stop());

  const open = (name: string): ReturnType<typeof dial> =>
    dial(`ws://127.0.0.1:${program.port}/sleeper?name=${name}`, {
      heartbeat: false,
      subprotocols: ['chat'],
    });
  const text = async (conn: Awaited<ReturnType<typeof dial>>): Promise<string> =>
    (await conn.readMessage({ timeout: 30_000 })).text();

  it('opens with the attachment and the subprotocol', async () => {
    const conn = await open('ada');
    expect([await text(conn), conn.subprotocol]).toEqual(['hello ada by chat', 'chat']);
    expect(await conn.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
  });

  it('keeps data that was set, and refuses more than 16 KiB with a RangeError', async () => {
    const conn = await open('bob');
    await text(conn);
    for (const count of [1, 2]) {
      await conn.send('count');
      expect(await text(conn)).toBe(`bob ${count}`);
    }
    await conn.send('big');
    expect(await text(conn)).toBe('RangeError');
    await conn.close();
  });

  it('sends to all connections, and tells who has left', async () => {
    const [one, two] = [await open('one'), await open('two')];
    await Promise.all([text(one), text(two)]);
    await one.send('to all');
    expect(await Promise.all([text(one), text(two)])).toEqual(['to all', 'to all']);
    await one.close(4002, 'gone');
    expect(await text(two)).toBe('left 4002 gone');
    await two.close();
  });

  it('closes with its code, and with 1011 when an event throws', async () => {
    const left = await open('left');
    await text(left);
    await left.send('leave');
    expect(await left.closed).toMatchObject({ code: 4001, reason: 'bye' });
    const failed = await open('failed');
    await text(failed);
    await failed.send('throw');
    expect(await failed.closed).toMatchObject({ code: 1011 });
  });

  it('refuses foreign origins', async () => {
    const raw = await RawSocket.open(program.port, '/sleeper', { Origin: 'http://evil.example' });
    raw.destroy();
    expect(raw.status).toBe(403);
  });

  it('sleeps while clients stay, and answers autoResponse without waking', async () => {
    const conn = await open('sleepy');
    await text(conn);
    await conn.send('made');
    const before = Number(/\d+/.exec(await text(conn)));
    // workerd evicts an object that is idle for ten seconds. A message wakes it.
    for (let i = 0; i < 13; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await conn.send('ping');
      expect(await text(conn)).toBe('pong');
    }
    await conn.send('made');
    expect(await text(conn)).toBe(`made ${before + 1}`);
    await conn.send('count');
    expect(await text(conn)).toBe('sleepy 1');
    await conn.close();
  });
});
