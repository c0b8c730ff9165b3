import { type BadHandshakeError, type ClientConn, dial } from '@ws/node-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawSocket } from './raw-socket.ts';
import { lacksRuntime, RUNTIMES, type Running, start } from './runtimes.ts';

describe.each(RUNTIMES.filter((name) => !lacksRuntime(name)))('a hostile use on %s', (name) => {
  let program: Running;
  beforeAll(async () => {
    program = await start(name);
  });
  afterAll(async () => {
    // The program has survived all of it.
    expect((await fetch(`${program.url}/`)).status).toBe(200);
    await program.stop();
  });

  const open = (path: string): Promise<ClientConn> =>
    dial(`ws://127.0.0.1:${program.port}${path}`, { heartbeat: false });
  const refusal = (path: string): Promise<BadHandshakeError | 'accepted'> =>
    open(path).then(
      () => 'accepted' as const,
      (error: BadHandshakeError) => error,
    );

  // Workers answer the pair of the first request, which is over.
  it.skipIf(name === 'Workers' || name === 'Durable Object')(
    'returns the Response of upgrade for a second request: no connection',
    async () => {
      const first = await open('/twice');
      await first.send('works');
      expect((await first.readMessage()).text()).toBe('works');
      expect(await refusal('/twice')).toMatchObject({ status: 500 });
      await first.close();
    },
  );

  it('sends a mark of its own in a request: a plain refusal', async () => {
    const fields = { 'x-ws-upgrade': crypto.randomUUID() };
    const raw = await RawSocket.open(program.port, '/nothing', fields);
    expect(raw.status).toBe(404);
    raw.destroy();
  });

  it('sends an origin with characters of HTML: a refusal in plain text', async () => {
    const url = `ws://127.0.0.1:${program.port}/echo`;
    const error = await dial(url, { headers: { Origin: 'https://<b>' } }).then(
      () => expect.unreachable('it was upgraded'),
      (reason: BadHandshakeError) => reason,
    );
    expect(error.status).toBe(403);
    expect(error.headers['content-type']).toMatch(/^text\/plain; ?charset=utf-8$/i);
    expect(error.headers['x-content-type-options']).toBe('nosniff');
    expect(String(error.body)).not.toContain('<');
  });

  it('leaves during authenticate, a hundred times', async () => {
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const raw = RawSocket.open(program.port, '/login', { Authorization: 'Bearer s3cr3t' });
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
        (await raw).destroy();
      }),
    );
  });

  it('sends a message with the request, before the 101', async () => {
    const raw = await RawSocket.open(program.port, '/echo');
    raw.send(1, 'early');
    expect(await raw.until(() => raw.rest.includes('early'))).toBe(true);
    raw.destroy();
  });

  it('closes from both ends at once, fifty times', async () => {
    const conns = await Promise.all(Array.from({ length: 50 }, () => open('/close')));
    const ends = conns.map(async (conn) => {
      void conn.writeJSON([1000, 'server']);
      return conn.close(1000, 'client');
    });
    for (const { code } of await Promise.all(ends)) expect([1000, 1006]).toContain(code);
  });
});
