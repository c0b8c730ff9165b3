import { EventEmitter, once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type Conn, Upgrader } from '../../src/index.ts';
import { connectRaw, exchange, request } from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

describe('limits', () => {
  it('answer 503 to too many handshakes before all other checks', async () => {
    const waiting = new EventEmitter();
    const releases: (() => void)[] = [];
    const upgrader = new Upgrader({
      maxHandshakes: 1,
      authenticate: () =>
        new Promise<void>((resolve) => {
          releases.push(resolve);
          waiting.emit('asked');
        }),
    });
    const server = await listening(upgrader);
    const first = await connected(server);
    const asked = once(waiting, 'asked');
    first.stream.write(request());
    await asked;
    const answer = await exchange(server.port, request({ line: 'GET / HTTP/1.0' }));
    expect(answer.status).toBe(503);
    expect(answer.body).toBe('too many handshakes\n');
    releases[0]!();
    const conn = (await server.outcome(1)) as Conn;
    conn.terminate();
  });

  it('answer 503 to too many connections until one closes', async () => {
    const server = await listening(new Upgrader({ maxConnections: 1 }));
    const first = await connected(server);
    await first.upgrade();
    const conn = (await server.outcome()) as Conn;
    expect((await exchange(server.port, request())).status).toBe(503);
    conn.terminate();
    await conn.closed;
    const second = await connected(server);
    expect((await second.upgrade()).status).toBe(101);
    ((await server.outcome(2)) as Conn).terminate();
  });

  it('are unchanged after hundreds of closed connections', async () => {
    const server = await listening(
      new Upgrader({ maxConnections: 1, maxConnectionsPerAddress: 1 }),
    );
    for (let i = 0; i < 200; i++) {
      const client = await connectRaw(server.port);
      expect((await client.upgrade()).status).toBe(101);
      const conn = (await server.outcome(i)) as Conn;
      if (i % 2 === 0) client.stream.resetAndDestroy();
      else conn.terminate();
      await conn.closed;
      client.stream.destroy();
    }
  });

  it('do not count a refused handshake any more', async () => {
    const server = await listening(new Upgrader({ maxConnections: 1, maxHandshakes: 1 }));
    for (let i = 0; i < 3; i++) {
      const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
      expect(answer.status).toBe(400);
    }
  });

  it('answer 429 to too many connections from one address of clientAddress', async () => {
    const upgrader = new Upgrader({
      maxConnectionsPerAddress: 1,
      clientAddress: (req) => req.headers['x-forwarded-for'] as string | undefined,
    });
    const server = await listening(upgrader);
    const first = await connected(server);
    await first.upgrade({ add: ['X-Forwarded-For: 2001:db8::1'] });
    const again = request({ add: ['X-Forwarded-For: 2001:db8::2'] });
    expect((await exchange(server.port, again)).status).toBe(429);
    const other = await connected(server);
    expect((await other.upgrade({ add: ['X-Forwarded-For: 2001:db8:1::2'] })).status).toBe(101);
    for (const n of [0, 2]) ((await server.outcome(n)) as Conn).terminate();
  });

  it.each([null, 5, ['10.0.0.1'], Promise.resolve('10.0.0.1')])(
    'answer 500 when clientAddress gives %o, which is not a string',
    async (address) => {
      const upgrader = new Upgrader({
        maxConnectionsPerAddress: 1,
        clientAddress: () => address as never,
      });
      const server = await listening(upgrader);
      expect((await exchange(server.port, request())).status).toBe(500);
      expect(await server.outcome()).toMatchObject({ cause: expect.any(TypeError) });
    },
  );

  it('answer 500 when clientAddress throws', async () => {
    const upgrader = new Upgrader({
      maxConnectionsPerAddress: 1,
      clientAddress: () => {
        throw new Error('secret');
      },
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(500);
  });
});
