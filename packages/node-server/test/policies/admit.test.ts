import { dial } from '@ws/node-client';
import { describe, expect, expectTypeOf, it, onTestFinished, vi } from 'vitest';
import { admit, type Conn, route, serve, Upgrader } from '../../src/index.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

/** Time passes by `vi.advanceTimersByTime` only, until the end of the test. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Upgrades one connection with this result of `authenticate`. */
async function upgraded(authenticate: () => unknown) {
  const reported: unknown[] = [];
  const got: { conn?: Conn; auth?: unknown } = {};
  const upgrader = new Upgrader({
    authenticate: authenticate as () => never,
    report: (error) => reported.push(error),
  });
  const server = await listening(
    upgrader.handler((conn, _req, { auth }) => {
      Object.assign(got, { conn, auth });
    }),
  );
  const client = await connected(server);
  const { status } = await client.upgrade();
  return { client, reported, got, status };
}

describe('admit', () => {
  it('gives its data to the handler and to conn.data, and closes with 4401 at the end', async () => {
    stopTime();
    const auth = { user: 'ada' };
    const { client, got } = await upgraded(() => admit(auth, { expires: Date.now() + 200 }));
    expect(got.auth).toBe(auth);
    expect(got.conn!.data).toBe(auth);
    vi.advanceTimersByTime(200);
    expect(await client.until('login expired')).toEqual(
      Buffer.from('\x88\x0f\x11\x31login expired', 'latin1'),
    );
    got.conn!.terminate();
  });

  it('lets renew move the end', async () => {
    stopTime();
    const { got } = await upgraded(async () =>
      admit('ada', { expires: new Date(Date.now() + 200) }),
    );
    got.conn!.renew(Date.now() + 60_000);
    vi.advanceTimersByTime(300);
    expect(got.conn!.state).toBe('open');
    got.conn!.terminate();
  });

  it('admits without an end', async () => {
    const { status, got } = await upgraded(() => admit('ada'));
    expect([status, got.auth]).toEqual([101, 'ada']);
    got.conn!.terminate();
  });

  it.each([
    ['a promise', () => admit(Promise.resolve('ada')), 'got a promise; await it first'],
    ['a result of admit', () => admit(admit('ada')), 'admit: expected data, got a result of admit'],
    [
      'seconds',
      () => admit('ada', { expires: Math.floor(Date.now() / 1_000) }),
      'exp * 1000 of a JWT',
    ],
    ['another option', () => admit('ada', { expire: 1 } as never), 'admit: unknown option expire'],
    ['no time', () => admit('ada', { expires: 'soon' as never }), 'expires: expected a Date'],
  ])('fails closed for %s, and reports it', async (_says, authenticate, text) => {
    const { status, reported } = await upgraded(authenticate);
    expect(status).toBe(500);
    expect(String(reported[0])).toContain(text);
  });

  it('has the type of its data in the handler', async () => {
    const server = await serve(
      {
        host: '127.0.0.1',
        authenticate: (req) =>
          req.headers.cookie === undefined
            ? undefined
            : admit({ user: 'ada' }, { expires: Date.now() + 60_000 }),
        headers: (_req, { auth }) => ({ 'X-User': auth.user }),
      },
      {
        '/a': (conn, _req, { auth }) => {
          expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
          expectTypeOf(conn.data).toEqualTypeOf<{ user: string }>();
        },
        '/b': route({ authenticate: async () => admit(Number('5')) }, (_conn, _req, { auth }) => {
          expectTypeOf(auth).toEqualTypeOf<number>();
        }),
      },
    );
    await server.close();
  });
});

describe('maxLifetime', () => {
  it('closes with 1001 within its jitter', async () => {
    const upgrader = new Upgrader({ maxLifetime: { ms: 60, jitter: 0.5 } });
    const server = await listening(upgrader.handler((conn) => conn.discardReads()));
    const client = await connected(server);
    await client.upgrade();
    expect(await client.until('maximum lifetime')).toEqual(
      Buffer.from('\x88\x12\x03\xe9maximum lifetime', 'latin1'),
    );
  });

  it('may be longer than a timer of the runtime', async () => {
    const maxLifetime = { ms: 30 * 86_400_000, jitter: 0 };
    const server = await serve({ host: '127.0.0.1', port: 0, maxLifetime }, (conn) =>
      conn.discardReads(),
    );
    const conn = await dial(server.url);
    await conn.ping();
    expect(conn.state).toBe('open');
    await conn.close();
    await server.close();
  });

  it('may last longer than a timer of Node', async () => {
    const upgrader = new Upgrader({ maxLifetime: { ms: 30 * 86_400_000, jitter: 0 } });
    const server = await listening(upgrader.handler((conn) => conn.discardReads()));
    const client = await connected(server);
    await client.upgrade();
    // A delay that is too long for Node is 1 ms.
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(upgrader.stats.open).toBe(1);
    client.destroy();
  });

  it.each([
    [5, 'maxLifetime: expected an object: { ms, jitter }, got number'],
    [{}, 'maxLifetime.ms: expected a number of ms, got undefined'],
    [{ ms: 0 }, 'maxLifetime.ms: expected a whole number of 1 or more, got 0'],
    [{ ms: 5, jitter: 2 }, 'maxLifetime.jitter: expected a number from 0 to 1, got 2'],
    [{ ms: 5, max: 2 }, 'maxLifetime: unknown option max'],
  ])('rejects %j', (maxLifetime, text) => {
    expect(() => new Upgrader({ maxLifetime: maxLifetime as never })).toThrow(text);
    expect(() => route({ maxLifetime: maxLifetime as never }, () => {})).toThrow(text);
  });
});
