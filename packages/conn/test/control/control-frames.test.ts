import { describe, expect, it } from 'vitest';
import { BackpressureError, TimeoutError } from '../../src/index.ts';
import { wired } from '../wired.ts';

describe('ping', () => {
  it('resolves with the round trip', async () => {
    const { conn, platform, sent, feed, frame } = wired('server');
    const trip = conn.ping('hello');
    await platform.advance(30);
    expect(sent()).toEqual(['ping hello']);
    feed(frame(10, 'hello'));
    expect(await trip).toBe(30);
    expect(conn.stats).toMatchObject({ rtt: 30, pingsOut: 1 });
  });

  it('distinguishes its own pings', async () => {
    const { conn, platform, transport, feed, frame } = wired('client');
    const trips = [conn.ping(), conn.ping()];
    await platform.settle();
    expect(transport.writes.length).toBe(1);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    await platform.advance(5);
    feed(frame(10, Uint8Array.of(0, 0, 0, 2)));
    expect(await Promise.all(trips)).toEqual([0, 5]);
  });

  it('resolves at the pong of a later ping', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const trips = [conn.ping('a'), conn.ping('b'), conn.ping('c')];
    await platform.advance(7);
    feed(frame(10, 'b'));
    expect(await trips[0]).toBe(7);
    expect(await trips[1]).toBe(7);
    await platform.advance(1);
    feed(frame(10, 'c'));
    expect(await trips[2]).toBe(8);
  });

  it('ignores unsolicited pongs', async () => {
    const { conn, platform, feed, frame } = wired('server');
    feed(frame(10, 'stray'), frame(10));
    const trip = conn.ping('a');
    await platform.settle();
    feed(frame(10, 'b'), frame(10, 'aa'), frame(10, 'a'));
    expect(await trip).toBe(0);
  });

  it('times out after 20 s, or after its timeout, and never with false', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const trips = [
      conn.ping('a'),
      conn.ping('b', { timeout: 500 }),
      conn.ping('c', { timeout: false }),
    ];
    await platform.advance(501);
    await expect(trips[1]).rejects.toBeInstanceOf(TimeoutError);
    await platform.advance(20_000);
    await expect(trips[0]).rejects.toBeInstanceOf(TimeoutError);
    feed(frame(10, 'c'));
    expect(await trips[2]).toBe(20_501);
    // The sweep of idle connections sets a timer, too.
    await platform.advance(100);
    expect(platform.timers).toBe(0);
  });

  it('is cancelled by its signal', async () => {
    const { conn, platform } = wired('server');
    const control = new AbortController();
    const trip = conn.ping('a', { signal: control.signal });
    await platform.settle();
    control.abort(new Error('enough'));
    await expect(trip).rejects.toThrow('enough');
    // The sweep of idle connections sets a timer, too.
    await platform.advance(100);
    expect(platform.timers).toBe(0);
    await expect(conn.ping('b', { signal: control.signal })).rejects.toThrow('enough');
  });

  it('is bounded by the number of unanswered pings', async () => {
    const { conn, platform, frame, deliver } = wired('server');
    for (let i = 0; i < 64; i++) void conn.ping(`${i}`);
    await expect(conn.ping('more')).rejects.toBeInstanceOf(BackpressureError);
    await platform.settle();
    await deliver(frame(10, '63'));
    void conn.ping('again');
    await platform.settle();
    expect(conn.stats.pingsOut).toBe(65);
  });

  it('rejects when the connection ends', async () => {
    const { conn, platform, transport } = wired('server');
    const trip = conn.ping();
    await platform.settle();
    transport.feedEnd();
    await expect(trip).rejects.toMatchObject({ closeCode: 1006 });
    expect(platform.timers).toBe(0);
  });
});

describe('a connection without handlers of control frames', () => {
  it('answers each ping with its payload, and has no round trip', async () => {
    const { conn, feed, frame, output } = wired('server');
    feed(frame(9, 'a'), frame(9, ''), frame(10, 'stray'));
    expect(await output()).toEqual(['pong a', 'pong']);
    expect(conn.stats.rtt).toBeNaN();
    expect(conn.state).toBe('open');
  });
});

describe('a failing handler of control frames', () => {
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
    const { conn, platform, transport, feed, frame, output } = wired('server');
    if (name === 'ping') conn.setPingHandler(fail);
    else conn.setPongHandler(fail);
    feed(frame(opcode, 'p'));
    // Once for the handler, and once for what follows from it.
    await platform.settle();
    expect(await output()).toEqual(['close 1011']);
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1011, error: { message: 'a bug' } });
  });
});

describe('the handlers of control frames', () => {
  it('receive the code and reason of a close frame, and are awaited', async () => {
    const { conn, frame, sent, deliver, output } = wired('server');
    const seen: [number, string][] = [];
    let settle = (): void => {};
    conn.setCloseHandler((code, reason) => {
      seen.push([code, reason]);
      return new Promise<void>((resolve) => (settle = resolve));
    });
    await deliver(frame(8, Buffer.concat([Uint8Array.of(0x03, 0xe9), Buffer.from('bye')])));
    expect([seen, sent(), conn.state]).toEqual([[[1001, 'bye']], [], 'closing']);
    settle();
    expect(await output()).toEqual(['close 1001']);
  });

  it('replace the default, and null restores it', async () => {
    const { conn, frame, sent, deliver } = wired('server');
    const seen: string[] = [];
    conn.setPingHandler((payload) => void seen.push(`ping ${Buffer.from(payload).toString()}`));
    conn.setPongHandler((payload) => void seen.push(`pong ${Buffer.from(payload).toString()}`));
    await deliver(frame(9, 'a'), frame(10, 'b'));
    expect(seen).toEqual(['ping a', 'pong b']);
    conn.setPingHandler(null);
    conn.setPongHandler(null);
    await deliver(frame(9, 'c'), frame(10, 'd'));
    expect(seen).toHaveLength(2);
    expect(sent()).toEqual(['pong c']);
  });

  it('are returned by the getters, also the default ones', async () => {
    const { conn, output } = wired('server');
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
      expect(conn[get]()).toBe(before);
      expect(() => conn[set](5 as never)).toThrow(TypeError);
      expect(() => conn[set](undefined as never)).toThrow(TypeError);
    }
    await conn.pingHandler()(Uint8Array.of(0x61));
    await conn.pongHandler()(Uint8Array.of(0x61));
    await conn.closeHandler()(1001, 'x');
    expect(await output()).toEqual(['pong a', 'close 1001']);
  });

  it('receive a pong after its ping has resolved', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const order: string[] = [];
    const trip = conn.ping('p').then(() => order.push('ping()'));
    conn.setPongHandler(async () => {
      await Promise.resolve();
      await Promise.resolve();
      order.push('handler');
    });
    await platform.settle();
    feed(frame(10, 'p'));
    await trip;
    await platform.settle();
    expect(order).toEqual(['ping()', 'handler']);
  });
});

describe('the heartbeat', () => {
  const heartbeat = { interval: 20_000, timeout: 10_000 };

  it('pings a silent peer, and ends an unresponsive one with 1006', async () => {
    const { conn, platform, sent } = wired('server', { heartbeat });
    await platform.advance(19_900);
    expect(sent()).toEqual([]);
    await platform.advance(200);
    expect(sent()).toHaveLength(1);
    await platform.advance(9_900);
    expect(conn.state).toBe('open');
    await platform.advance(300);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    await expect(conn.readMessage()).rejects.toBeInstanceOf(TimeoutError);
    await expect(conn.readMessage()).rejects.toMatchObject({ permanent: true });
    await expect(conn.send('x')).rejects.toBeInstanceOf(TimeoutError);
    expect(platform.timers).toBe(0);
  });

  it('keeps a connection whose peer sends any bytes', async () => {
    const { conn, platform, transport, feed, frame, sent } = wired('server', { heartbeat });
    await platform.advance(20_100);
    expect(sent()).toHaveLength(1);
    transport.feed(frame(1, 'unfinished').subarray(0, 3));
    await platform.advance(60_000);
    // Silent again: a second ping remains unanswered.
    expect(conn.state).toBe('closed');
    feed();
  });

  it('keeps a connection whose pong waited until the busy process read it', async () => {
    const { conn, platform, feed, frame } = wired('server', { heartbeat });
    await platform.advance(25_000);
    const [now, later] = [platform.now.bind(platform), platform.yield.bind(platform)];
    platform.now = () => now() + 30_000;
    platform.yield = (callback) => {
      later(() => {
        feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
        callback();
      });
    };
    await platform.advance(5_200);
    await platform.settle();
    expect(conn.stats.rtt).toBeGreaterThanOrEqual(10_000);
    expect(conn.state).toBe('open');
    platform.yield = later;
    await platform.advance(60_000);
    expect(conn.state).toBe('closed');
  });

  it('sends no ping while the peer sends', async () => {
    const { conn, platform, feed, frame, sent } = wired('server', { heartbeat });
    void conn.discardReads();
    for (let i = 0; i < 10; i++) {
      await platform.advance(15_000);
      feed(frame(2, 'x'));
    }
    expect(sent()).toEqual([]);
    expect(conn.state).toBe('open');
  });

  it('updates the round trip', async () => {
    const { conn, platform, frame, deliver } = wired('server', { heartbeat });
    await platform.advance(20_100);
    const at = platform.now();
    await platform.advance(40);
    await deliver(frame(10, Uint8Array.of(0, 0, 0, 1)));
    expect(conn.stats.rtt).toBeGreaterThanOrEqual(40);
    expect(platform.now() - at).toBe(40);
  });

  it('does not count silence while the transport is paused, but continues to ping', async () => {
    const { conn, platform, feed, frame, transport, sent } = wired('server', {
      heartbeat,
      readAhead: 100,
    });
    let finish = (): void => {};
    void conn.receive(() => new Promise<void>((resolve) => (finish = resolve)));
    feed(frame(2, 'held'), frame(2, Buffer.alloc(200)));
    await platform.advance(100_000);
    expect(transport.paused).toBe(true);
    expect(conn.state).toBe('open');
    expect(sent().length).toBeGreaterThan(2);
    finish();
    await platform.settle();
    expect(transport.paused).toBe(false);
  });

  it('allows a handler to run for 60 s while the peer answers', async () => {
    const { conn, platform, feed, frame, sent } = wired('server', {
      heartbeat: { interval: 5_000, timeout: 5_000 },
    });
    let finish = (): void => {};
    void conn.receive(() => new Promise<void>((resolve) => (finish = resolve)));
    feed(frame(1, 'slow'));
    let answered = 0;
    for (let i = 0; i < 60; i++) {
      await platform.advance(1_000);
      const pings = sent().filter((s) => s.startsWith('ping')).length;
      while (answered < pings) feed(frame(10, Uint8Array.of(0, 0, 0, ++answered)));
    }
    expect(conn.state).toBe('open');
    expect(answered).toBeGreaterThan(4);
    finish();
  });

  it('pings after each interval of silence, even if the timeout is longer', async () => {
    const { conn, platform, feed, frame, sent } = wired('server', {
      heartbeat: { interval: 5_000, timeout: 60_000 },
    });
    let answered = 0;
    for (let i = 0; i < 60; i++) {
      await platform.advance(1_000);
      while (answered < sent().length) feed(frame(10, Uint8Array.of(0, 0, 0, ++answered)));
    }
    expect(answered).toBeGreaterThanOrEqual(10);
    const before = sent().length;
    await platform.advance(55_000);
    // One ping that is not answered is enough.
    expect([conn.state, sent().length]).toEqual(['open', before + 1]);
    await platform.advance(11_000);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });

  it('ends with the connection', async () => {
    const { conn, platform, feed, frame, transport } = wired('server', { heartbeat });
    feed(frame(8));
    transport.feedEnd();
    await conn.closed;
    await platform.settle();
    expect(platform.timers).toBe(0);
  });

  it('is on by default on both sides', async () => {
    const server = wired('server', { heartbeat: undefined });
    const client = wired('client', { heartbeat: undefined });
    await server.platform.advance(20_100);
    await client.platform.advance(20_100);
    expect(server.sent()).toHaveLength(1);
    expect(client.sent()).toHaveLength(1);
  });
});

describe('handlers that are set after the first read', () => {
  it('receive the first frame when they are set in the same synchronous part', async () => {
    const { conn, feed, frame, platform } = wired('server');
    feed(frame(9, 'early'));
    void conn.receive(() => {});
    const pings: string[] = [];
    conn.setPingHandler((payload) => void pings.push(Buffer.from(payload).toString()));
    await platform.settle();
    expect(pings).toEqual(['early']);
  });
});

describe('the round trip', () => {
  it('is undefined on a connection that receives pongs and has sent no ping', async () => {
    const { conn, frame, deliver } = wired('server');
    const seen: string[] = [];
    conn.setPongHandler((payload) => void seen.push(Buffer.from(payload).toString()));
    await deliver(frame(10, 'stray'));
    expect(seen).toEqual(['stray']);
    expect(conn.stats.rtt).toBeNaN();
  });
});

describe.each([
  ['ping', 9, 'setPingHandler'],
  ['pong', 10, 'setPongHandler'],
] as const)('an async %s handler', (_, opcode, set) => {
  it('is called with the newest frame when it has settled: nothing else waits', async () => {
    const { conn, platform, feed, frame, deliver } = wired('server');
    void conn.discardReads();
    const seen: string[] = [];
    let settle!: () => void;
    conn[set]((payload) => {
      seen.push(Buffer.from(payload).toString());
      return new Promise<void>((resolve) => {
        settle = resolve;
      });
    });
    await platform.settle();
    for (let i = 0; i < 1_000; i++) feed(frame(opcode, `${i}`));
    await platform.settle();
    expect(seen).toEqual(['0']);
    settle();
    await platform.settle();
    expect(seen).toEqual(['0', '999']);
    settle();
    await platform.settle();
    await deliver(frame(opcode, 'later'));
    expect(seen).toEqual(['0', '999', 'later']);
  });

  it('that rejects closes the connection, and gets no frame that waited', async () => {
    const { conn, feed, frame, output } = wired('server', { report: () => {} });
    void conn.discardReads();
    conn[set](() => Promise.reject(new Error('no')));
    feed(frame(opcode, 'a'), frame(opcode, 'b'));
    expect(await output()).toEqual(['close 1011']);
  });

  it('that returns nothing is called for each frame', async () => {
    const { conn, frame, deliver } = wired('server');
    void conn.discardReads();
    let calls = 0;
    conn[set](() => void calls++);
    await deliver(...Array.from({ length: 100 }, () => frame(opcode, 'x')));
    expect(calls).toBe(100);
  });
});

describe('the default ping handler', () => {
  it('sends at most 125 bytes, as writeControl does', async () => {
    const { conn, platform, output } = wired('server');
    await platform.settle();
    const answer = conn.pingHandler();
    expect(() => answer(new Uint8Array(126))).toThrow(
      new RangeError(
        'websocket: invalid control frame: 126 bytes of payload, at most 125 are allowed',
      ),
    );
    expect(() => answer(7 as never)).toThrow(TypeError);
    await answer(new Uint8Array(2));
    expect(await output()).toEqual(['pong \0\0']);
  });
});
