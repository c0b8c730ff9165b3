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
        new Promise<true>((resolve) => {
          releases.push(() => resolve(true));
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

  it('are unchanged after many closed connections', async () => {
    const server = await listening(
      new Upgrader({ maxConnections: 1, limits: [{ by: 'address', connections: 1 }] }),
    );
    for (let i = 0; i < 40; i++) {
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
      limits: [{ by: 'address', connections: 1 }],
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
        limits: [{ by: 'address', connections: 1 }],
        clientAddress: () => address as never,
      });
      const server = await listening(upgrader);
      expect((await exchange(server.port, request())).status).toBe(500);
      expect(await server.outcome()).toMatchObject({ cause: expect.any(TypeError) });
    },
  );

  it('answer 500 when clientAddress throws', async () => {
    const upgrader = new Upgrader({
      limits: [{ by: 'address', connections: 1 }],
      clientAddress: () => {
        throw new Error('secret');
      },
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(500);
  });
});

/** Counts the calls of `authenticate` that run at once. */
class SlowApplication {
  running = 0;
  most = 0;
  calls = 0;
  readonly called = new EventEmitter();
  readonly releases: (() => void)[] = [];

  readonly authenticate = async (): Promise<boolean> => {
    this.calls++;
    this.running++;
    this.most = Math.max(this.most, this.running);
    this.called.emit('call');
    await new Promise<void>((resolve) => this.releases.push(resolve));
    this.running--;
    return true;
  };
}

describe('a client that disconnects while authenticate runs', () => {
  it.each([
    { limits: { maxHandshakes: 10 }, most: 10, status: 503 },
    {
      limits: { maxHandshakes: 10, limits: [{ by: 'address' as const, connections: 5 }] },
      most: 5,
      status: 429,
    },
    { limits: { maxConnections: 7 }, most: 7, status: 503 },
  ])('keeps its place, with $limits', async ({ limits, most, status }) => {
    const application = new SlowApplication();
    const { authenticate } = application;
    // The default is over on a busy machine, which frees a place.
    const options = { ...limits, authenticate, handshakeTimeout: false } as const;
    const server = await listening(new Upgrader(options));
    for (let i = 0; i < 60; i++) {
      const client = await connectRaw(server.port);
      client.stream.write(request());
      if (application.calls < most) await once(application.called, 'call');
      else if (i === most) await client.closed;
      client.stream.resetAndDestroy();
      if (i < most) await server.outcome(i);
    }
    expect(application.most).toBe(most);
    expect((await exchange(server.port, request())).status).toBe(status);
    for (const release of application.releases) release();
    await new Promise((resolve) => setImmediate(resolve));
    const client = await connected(server);
    client.stream.write(request());
    await once(application.called, 'call');
    application.releases.at(-1)!();
    expect(application.calls).toBe(most + 1);
  });

  it('has its place until handshakeTimeout is over when authenticate never settles', async () => {
    const { authenticate, called } = new SlowApplication();
    const options = { maxHandshakes: 1, handshakeTimeout: 200, authenticate };
    const server = await listening(new Upgrader(options));
    const start = performance.now();
    for (const n of [0, 1]) {
      const client = await connected(server);
      const call = once(called, 'call');
      client.stream.write(request());
      await call;
      client.stream.resetAndDestroy();
      await server.outcome(server.outcomes.length);
      let status = n === 0 ? 503 : 0;
      while (status === 503) {
        ({ status } = await exchange(server.port, request({ without: ['sec-websocket-key'] })));
      }
    }
    expect(performance.now() - start).toBeGreaterThan(190);
  });
});
