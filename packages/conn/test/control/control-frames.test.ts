import { describe, expect, it } from 'vitest';
import { BackpressureError, TimeoutError } from '../src/index.ts';
import { wired } from './wired.ts';

describe('ping', () => {
  it('resolves with the round trip', async () => {
    const { conn, host, sent, feed, frame } = wired('server');
    const trip = conn.ping('hello');
    await host.advance(30);
    expect(sent()).toEqual(['ping hello']);
    feed(frame(10, 'hello'));
    expect(await trip).toBe(30);
    expect(conn.stats).toMatchObject({ rtt: 30, pingsOut: 1 });
  });

  it('tells its own pings apart', async () => {
    const { conn, host, transport, feed, frame } = wired('client');
    const trips = [conn.ping(), conn.ping()];
    await host.settle();
    expect(transport.writes.length).toBe(1);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    await host.advance(5);
    feed(frame(10, Uint8Array.of(0, 0, 0, 2)));
    expect(await Promise.all(trips)).toEqual([0, 5]);
  });

  it('is settled by the pong of a later one', async () => {
    const { conn, host, feed, frame } = wired('server');
    const trips = [conn.ping('a'), conn.ping('b'), conn.ping('c')];
    await host.advance(7);
    feed(frame(10, 'b'));
    expect(await trips[0]).toBe(7);
    expect(await trips[1]).toBe(7);
    await host.advance(1);
    feed(frame(10, 'c'));
    expect(await trips[2]).toBe(8);
  });

  it('ignores pongs that nobody asked for', async () => {
    const { conn, host, feed, frame } = wired('server');
    feed(frame(10, 'stray'), frame(10));
    const trip = conn.ping('a');
    await host.settle();
    feed(frame(10, 'b'), frame(10, 'aa'), frame(10, 'a'));
    expect(await trip).toBe(0);
  });

  it('times out after 20 s, or what it is told, and never when told so', async () => {
    const { conn, host, feed, frame } = wired('server');
    const trips = [
      conn.ping('a'),
      conn.ping('b', { timeout: 500 }),
      conn.ping('c', { timeout: false }),
    ];
    await host.advance(501);
    await expect(trips[1]).rejects.toBeInstanceOf(TimeoutError);
    await host.advance(20_000);
    await expect(trips[0]).rejects.toBeInstanceOf(TimeoutError);
    feed(frame(10, 'c'));
    expect(await trips[2]).toBe(20_501);
    expect(host.timers).toBe(0);
  });

  it('can be given up by a signal', async () => {
    const { conn, host } = wired('server');
    const control = new AbortController();
    const trip = conn.ping('a', { signal: control.signal });
    await host.settle();
    control.abort(new Error('enough'));
    await expect(trip).rejects.toThrow('enough');
    expect(host.timers).toBe(0);
    await expect(conn.ping('b', { signal: control.signal })).rejects.toThrow('enough');
  });

  it('is bounded by maxPendingPings', async () => {
    const { conn, host, feed, frame } = wired('server', { maxPendingPings: 2 });
    void conn.ping('a');
    void conn.ping('b');
    await expect(conn.ping('c')).rejects.toBeInstanceOf(BackpressureError);
    await host.settle();
    feed(frame(10, 'b'));
    await host.settle();
    void conn.ping('c');
    await host.settle();
    expect(conn.stats.pingsOut).toBe(3);
  });

  it('rejects when the connection ends', async () => {
    const { conn, host, transport } = wired('server');
    const trip = conn.ping();
    await host.settle();
    transport.feedEnd();
    await expect(trip).rejects.toMatchObject({ closeCode: 1006 });
    expect(host.timers).toBe(0);
  });

  it.each([0, -1, Number.NaN, 2 ** 31, '5'])('refuses a timeout of %s', async (timeout) => {
    const { conn, host, transport } = wired('server');
    await expect(conn.ping('x', { timeout: timeout as never })).rejects.toThrow(
      /timeout: expected/,
    );
    await host.settle();
    expect(transport.writes).toEqual([]);
  });
});

describe('a connection without handlers of control frames', () => {
  it('answers each ping with its payload, and knows no round trip', async () => {
    const { conn, host, sent, feed, frame } = wired('server');
    feed(frame(9, 'a'), frame(9, ''), frame(10, 'stray'));
    await host.settle();
    expect(sent()).toEqual(['pong a', 'pong']);
    expect(conn.stats.rtt).toBeNaN();
    expect(conn.state).toBe('open');
  });
});

describe('a handler of control frames that fails', () => {
  it.each([
    ['ping', 9, () => Promise.reject(new Error('a bug'))],
    [
      'pong',
      10,
      () => {
        throw new Error('a bug');
      },
    ],
  ] as const)('of a %s ends the connection with 1011', async (name, opcode, fail) => {
    const { conn, host, sent, feed, frame, transport } = wired('server');
    if (name === 'ping') conn.setPingHandler(fail);
    else conn.setPongHandler(fail);
    feed(frame(opcode, 'p'));
    // Once for the handler, and once for what follows from it.
    await host.settle();
    await host.settle();
    expect(sent()).toEqual(['close 1011']);
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1011, error: { message: 'a bug' } });
  });
});

describe('the handlers of control frames', () => {
  it('of a close frame gets its code and reason, and is waited for', async () => {
    const { conn, host, sent, feed, frame } = wired('server');
    const seen: [number, string][] = [];
    let settle = (): void => {};
    conn.setCloseHandler((code, reason) => {
      seen.push([code, reason]);
      return new Promise<void>((resolve) => (settle = resolve));
    });
    feed(frame(8, Buffer.concat([Uint8Array.of(0x03, 0xe9), Buffer.from('bye')])));
    await host.settle();
    expect([seen, sent(), conn.state]).toEqual([[[1001, 'bye']], [], 'closing']);
    settle();
    await host.settle();
    expect(sent()).toEqual(['close 1001']);
  });

  it('replace the default, and null restores it', async () => {
    const { conn, host, sent, feed, frame } = wired('server');
    const seen: string[] = [];
    conn.setPingHandler((payload) => void seen.push(`ping ${Buffer.from(payload).toString()}`));
    conn.setPongHandler((payload) => void seen.push(`pong ${Buffer.from(payload).toString()}`));
    feed(frame(9, 'a'), frame(10, 'b'));
    await host.settle();
    expect(seen).toEqual(['ping a', 'pong b']);
    conn.setPingHandler(null);
    conn.setPongHandler(null);
    feed(frame(9, 'c'), frame(10, 'd'));
    await host.settle();
    expect(seen).toHaveLength(2);
    expect(sent()).toEqual(['pong c']);
  });

  it('are told by the getters, the default ones too', async () => {
    const { conn, host, sent } = wired('server');
    const mine = (): void => {};
    for (const [get, set] of [
      ['pingHandler', 'setPingHandler'],
      ['pongHandler', 'setPongHandler'],
      ['closeHandler', 'setCloseHandler'],
    ] as const) {
      const before = conn[get]();
      expect(before).toBeTypeOf('function');
      conn[set](mine);
      expect(conn[get]()).toBe(mine);
      conn[set](null);
      expect(conn[get]()).not.toBe(mine);
      expect(() => conn[set](5 as never)).toThrow(TypeError);
      expect(() => conn[set](undefined as never)).toThrow(TypeError);
    }
    await conn.pingHandler()(Uint8Array.of(0x61));
    await conn.pongHandler()(Uint8Array.of(0x61));
    await conn.closeHandler()(1001, 'x');
    await host.settle();
    expect(sent()).toEqual(['pong a', 'close 1001']);
  });

  it('get a pong after those who wait for it', async () => {
    const { conn, host, feed, frame } = wired('server');
    const order: string[] = [];
    const trip = conn.ping('p').then(() => order.push('ping()'));
    conn.setPongHandler(async () => {
      await Promise.resolve();
      await Promise.resolve();
      order.push('handler');
    });
    await host.settle();
    feed(frame(10, 'p'));
    await trip;
    await host.settle();
    expect(order).toEqual(['ping()', 'handler']);
  });
});

describe('the heartbeat', () => {
  const heartbeat = { interval: 20_000, timeout: 10_000 };

  it('pings a silent peer, and ends a dead one with 1006', async () => {
    const { conn, host, sent } = wired('server', { heartbeat });
    await host.advance(19_900);
    expect(sent()).toEqual([]);
    await host.advance(200);
    expect(sent()).toHaveLength(1);
    await host.advance(9_900);
    expect(conn.state).toBe('open');
    await host.advance(300);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    await expect(conn.readMessage()).rejects.toBeInstanceOf(TimeoutError);
    await expect(conn.send('x')).rejects.toBeInstanceOf(TimeoutError);
    expect(host.timers).toBe(0);
  });

  it('leaves a peer alone that answers, with whatever bytes', async () => {
    const { conn, host, transport, feed, frame, sent } = wired('server', { heartbeat });
    await host.advance(20_100);
    expect(sent()).toHaveLength(1);
    transport.feed(frame(1, 'unfinished').subarray(0, 3));
    await host.advance(60_000);
    // Silent again since: asked once more, and not answered.
    expect(conn.state).toBe('closed');
    feed();
  });

  it('says nothing while the peer talks', async () => {
    const { conn, host, feed, frame, sent } = wired('server', { heartbeat });
    void conn.discardReads();
    for (let i = 0; i < 10; i++) {
      await host.advance(15_000);
      feed(frame(2, 'x'));
    }
    expect(sent()).toEqual([]);
    expect(conn.state).toBe('open');
  });

  it('is answered by the round trip', async () => {
    const { conn, host, feed, frame } = wired('server', { heartbeat });
    await host.advance(20_100);
    const at = host.now();
    await host.advance(40);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    await host.settle();
    expect(conn.stats.rtt).toBeGreaterThanOrEqual(40);
    expect(host.now() - at).toBe(40);
  });

  it('does not count silence while we hold the transport paused, but goes on pinging', async () => {
    const { conn, host, feed, frame, transport, sent } = wired('server', {
      heartbeat,
      readAhead: 100,
    });
    let finish = (): void => {};
    void conn.receive(() => new Promise<void>((resolve) => (finish = resolve)));
    feed(frame(2, 'held'), frame(2, Buffer.alloc(200)));
    await host.advance(100_000);
    expect(transport.paused).toBe(true);
    expect(conn.state).toBe('open');
    expect(sent().length).toBeGreaterThan(2);
    finish();
    await host.settle();
    expect(transport.paused).toBe(false);
  });

  it('lets a handler pend for 60 s while the peer answers', async () => {
    const { conn, host, feed, frame, sent } = wired('server', {
      heartbeat: { interval: 5_000, timeout: 5_000 },
    });
    let finish = (): void => {};
    void conn.receive(() => new Promise<void>((resolve) => (finish = resolve)));
    feed(frame(1, 'slow'));
    let answered = 0;
    for (let i = 0; i < 60; i++) {
      await host.advance(1_000);
      const pings = sent().filter((s) => s.startsWith('ping')).length;
      while (answered < pings) feed(frame(10, Uint8Array.of(0, 0, 0, ++answered)));
    }
    expect(conn.state).toBe('open');
    expect(answered).toBeGreaterThan(4);
    finish();
  });

  it('pings after each interval of silence, also when the timeout is longer', async () => {
    const { conn, host, feed, frame, sent } = wired('server', {
      heartbeat: { interval: 5_000, timeout: 60_000 },
    });
    let answered = 0;
    for (let i = 0; i < 60; i++) {
      await host.advance(1_000);
      while (answered < sent().length) feed(frame(10, Uint8Array.of(0, 0, 0, ++answered)));
    }
    expect(answered).toBeGreaterThanOrEqual(10);
    const before = sent().length;
    await host.advance(55_000);
    // One ping that is not answered is enough.
    expect([conn.state, sent().length]).toEqual(['open', before + 1]);
    await host.advance(11_000);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });

  it('ends with the connection', async () => {
    const { conn, host, feed, frame, transport } = wired('server', { heartbeat });
    feed(frame(8));
    transport.feedEnd();
    await conn.closed;
    await host.settle();
    expect(host.timers).toBe(0);
  });

  it('is on by default on a server, off on a client', async () => {
    const server = wired('server', { heartbeat: undefined });
    const client = wired('client', { heartbeat: undefined });
    await server.host.advance(20_100);
    await client.host.advance(20_100);
    expect(server.sent()).toHaveLength(1);
    expect(client.sent()).toEqual([]);
    expect(client.host.timers).toBe(0);
  });
});

describe('handlers that are set after reading has begun', () => {
  it('see the first frame, as long as it is the same synchronous part', async () => {
    const { conn, feed, frame, host } = wired('server');
    feed(frame(9, 'early'));
    void conn.receive(() => {});
    const pings: string[] = [];
    conn.setPingHandler((payload) => void pings.push(Buffer.from(payload).toString()));
    await host.settle();
    expect(pings).toEqual(['early']);
  });
});

describe('the round trip', () => {
  it('is unknown to a connection that hears pongs and has sent no ping', async () => {
    const { conn, feed, frame, host } = wired('server');
    const seen: string[] = [];
    conn.setPongHandler((payload) => void seen.push(Buffer.from(payload).toString()));
    feed(frame(10, 'stray'));
    await host.settle();
    expect(seen).toEqual(['stray']);
    expect(conn.stats.rtt).toBeNaN();
  });
});
