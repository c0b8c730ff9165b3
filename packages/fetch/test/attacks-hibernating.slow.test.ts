import { join } from 'node:path';
import { type ClientConn, dial } from '@ws/node-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawSocket } from './raw-socket.ts';
import { lacksRuntime, type Running, start } from './runtimes.ts';

describe.skipIf(lacksRuntime('Durable Object'))('an attack on hibernating', () => {
  let program: Running;
  beforeAll(async () => {
    program = await start('Durable Object', join(import.meta.dirname, 'attacks'));
  });
  afterAll(() => program?.stop());

  const open = (name: string): Promise<ClientConn> =>
    dial(`ws://127.0.0.1:${program.port}/sleeper?name=${encodeURIComponent(name)}`, {
      heartbeat: false,
    });
  const text = async (conn: ClientConn): Promise<string> =>
    (await conn.readMessage({ timeout: 30_000 })).text();
  const watcher = async (): Promise<ClientConn> => {
    const conn = await open('watcher');
    await conn.send('names');
    await text(conn);
    return conn;
  };
  const leave = (name: string): Promise<RawSocket> =>
    RawSocket.open(program.port, `/sleeper?name=${encodeURIComponent(name)}`);

  it('refuses a login that exceeds the attachment, which stays out of connections()', async () => {
    const raw = await leave('x'.repeat(17_000));
    expect(raw.status).toBe(500);
    raw.destroy();
    const conn = await open('me');
    await conn.send('names');
    expect(await text(conn)).toBe('me');
    await conn.close();
  });

  it('gives all messages of a burst in their order, and the end after them', async () => {
    const watching = await watcher();
    const conn = await open('burst');
    for (let i = 0; i < 50; i++) void conn.send(String(i));
    void conn.close(4005);
    const texts: string[] = [];
    for (let i = 0; i < 51; i++) texts.push(await text(watching));
    const wanted = Array.from({ length: 50 }, (_each, i) => `burst ${i}`);
    expect(texts).toEqual([...wanted, 'burst left 4005']);
    await watching.close();
  });

  it('closes with 1013 over maxQueuedBytes, empty messages included', async () => {
    const conn = await open('flood');
    void conn.send('block');
    for (let i = 0; i < 2_000; i++) void conn.send('');
    expect((await conn.closed).code).toBe(1013);
  });

  it('throws for a code or a reason that cannot be sent', async () => {
    const conn = await open('codes');
    await conn.send('bad code');
    const names = [await text(conn), await text(conn), await text(conn)];
    expect(names).toEqual(['RangeError', 'RangeError', 'RangeError']);
    await conn.close();
  });

  it.each([999, 1005, 1006, 1015, 1016, 2_999, 5_000, 65_535])(
    'answers the close code %s of a peer, and ends',
    async (code) => {
      const raw = await leave('codes');
      raw.send(8, Uint8Array.of(code >> 8, code & 255));
      const answered = await raw.until(() => raw.rest.includes(0x88));
      expect(answered || raw.ended).toBe(true);
      raw.destroy();
      const conn = await open('me');
      await conn.send('names');
      expect(await text(conn)).toBe('me');
      await conn.close();
    },
  );

  it('sends to the others when one has left without a word', async () => {
    const raws = await Promise.all(Array.from({ length: 20 }, () => leave('dead')));
    const conn = await open('me');
    for (const raw of raws) {
      if (Math.random() < 0.5) raw.socket.resetAndDestroy();
      else raw.destroy();
    }
    for (let i = 0; i < 20; i++) {
      await conn.send('to all');
      const texts = [await text(conn), await text(conn)];
      // The message itself, and then the results of `send`.
      expect(texts[0]).toBe('all');
      expect(texts[1]).toMatch(/^(true|false)(,(true|false))*$/);
    }
    await conn.close();
  });

  it('closes with 1011 when open throws, and survives a close that throws', async () => {
    expect((await (await open('open throws')).closed).code).toBe(1011);
    await (await open('close throws')).close();
    const conn = await open('me');
    await conn.send('states');
    expect(await text(conn)).toBe('open');
    await conn.close();
  });

  it('ends a connection whose peer closes without a code', async () => {
    const watching = await watcher();
    const raw = await leave('empty');
    raw.send(8, new Uint8Array(0));
    expect(await text(watching)).toBe('empty left 1005');
    expect(await raw.until(() => raw.rest.includes(0x88))).toBe(true);
    raw.destroy();
    await watching.close();
  });
});
