import { TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { BinaryMessage, CloseCode, Conn, connPair, TextMessage } from '../src/index.ts';
import { connSettingNames } from '../src/internal.ts';
import { turns } from './raw-pair.ts';
import { wired } from './wired.ts';

describe('new Conn', () => {
  it('exposes its role, subprotocol and addresses', () => {
    const transport = new TestTransport({ localAddr: '127.0.0.1:1', remoteAddr: '127.0.0.1:2' });
    const conn = new Conn(transport, { role: 'client', subprotocol: 'chat', extensions: 'x-ext' });
    expect(conn).toMatchObject({
      role: 'client',
      subprotocol: 'chat',
      extensions: 'x-ext',
      state: 'open',
      bufferedAmount: 0,
      localAddr: '127.0.0.1:1',
      remoteAddr: '127.0.0.1:2',
      underlyingConn: undefined,
    });
    conn.terminate();
  });

  it.each([[undefined], [null], [{}], [{ role: 'peer' }]])('rejects the options %j', (options) => {
    const transport = new TestTransport();
    expect(() => new Conn(transport, options as never)).toThrow(TypeError);
    expect(transport.sink).toBeUndefined();
  });

  const bounds = [
    'readLimit',
    'idleReadTimeout',
    'maxBufferedAmount',
    'fragmentationThreshold',
  ] as const;
  const numbers = [
    ...bounds,
    'readAhead',
    'highWaterMark',
    'closeTimeout',
    'writeBufferSize',
  ] as const;

  it.each(numbers)('rejects an invalid %s in the constructor, by its name', (name) => {
    for (const value of [-1, 0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -0]) {
      const transport = new TestTransport();
      expect(() => new Conn(transport, { role: 'server', [name]: value })).toThrow(RangeError);
      expect(() => new Conn(transport, { role: 'server', [name]: value })).toThrow(name);
      expect(transport.sink).toBeUndefined();
    }
    for (const value of ['5', null, true, {}, 5n]) {
      const make = (): Conn =>
        new Conn(new TestTransport(), { role: 'server', [name]: value } as never);
      expect(make).toThrow(TypeError);
    }
  });

  it('says that readBufferSize is gone', () => {
    const options = { role: 'server', readBufferSize: 4096 } as const;
    expect(() => new Conn(new TestTransport(), options)).toThrow(
      'new Conn: unknown option readBufferSize; it had no effect: leave it out',
    );
  });

  it.each(bounds)('accepts false for %s: no bound', (name) => {
    const conn = new Conn(new TestTransport(), { role: 'server', [name]: false });
    conn.terminate();
  });

  it('suggests false where a bound is 0', () => {
    expect(() => new Conn(new TestTransport(), { role: 'server', readLimit: 0 })).toThrow(
      'use false for no bound',
    );
  });

  it.each([5, true, { interval: 0 }, { interval: 1, timeout: -1 }, { interval: '1' }, null])(
    'rejects the heartbeat %j',
    (heartbeat) => {
      const make = (): Conn =>
        new Conn(new TestTransport(), { role: 'server', heartbeat } as never);
      expect(make).toThrow(/heartbeat/);
    },
  );

  it('completes a partial heartbeat with defaults', async () => {
    const { platform, sent } = wired('client', { heartbeat: { interval: 1000 } as never });
    await platform.advance(1_100);
    expect(sent()).toHaveLength(1);
  });

  it('rejects unknown options', () => {
    const make = (options: object) => () =>
      new Conn(new TestTransport(), { role: 'server', ...options });
    expect(make({ host: 'example.org' })).toThrow(
      /^new Conn: unknown option host; known options: /,
    );
    expect(make({ readlimit: 5 })).toThrow(TypeError);
    expect(make({ host: undefined })).not.toThrow();
  });

  it('lists its settings by name', () => {
    expect(connSettingNames.toSorted()).toEqual(
      [...numbers, 'heartbeat', 'writeBufferPool', 'compression', 'report'].toSorted(),
    );
  });
});

describe('stats', () => {
  it('count messages, frames, bytes and pings of both directions', async () => {
    const { conn, platform, feed, frame } = wired('server');
    void conn.discardReads();
    feed(frame(1, 'abc'), frame(2, 'x', { fin: false }), frame(9, 'p'), frame(0, 'y'));
    void conn.send('hello');
    void conn.ping('q');
    await platform.settle();
    expect(conn.stats).toEqual({
      messagesIn: 2,
      framesIn: 4,
      bytesIn: 9 + 7 + 7 + 7,
      pingsIn: 1,
      messagesOut: 1,
      messagesRefused: 0,
      messagesDropped: 0,
      framesOut: 3,
      bytesOut: 7 + 3 + 3,
      pingsOut: 1,
      rtt: Number.NaN,
      compressionBytes: 0,
    });
  });

  it.each([
    ['one frame', [{ fin: true, bytes: [0x61, 0xc3] }]],
    [
      'fragments',
      [
        { fin: false, bytes: [0x61] },
        { fin: true, bytes: [0xc3] },
      ],
    ],
  ])('count no text that ends within a character, in %s', async (_, pieces) => {
    const { conn, platform, feed, frame } = wired('server');
    const read = conn.readMessage();
    feed(...pieces.map(({ fin, bytes }, i) => frame(i === 0 ? 1 : 0, Buffer.from(bytes), { fin })));
    await expect(read).rejects.toMatchObject({ closeCode: 1007 });
    await platform.settle();
    expect(conn.stats).toMatchObject({ messagesIn: 0, framesIn: pieces.length });
  });
});

describe('the constants', () => {
  it('equal the values on the wire', () => {
    expect([TextMessage, BinaryMessage, CloseCode.GoingAway]).toEqual([1, 2, 1001]);
  });
});

describe('connPair', () => {
  it('accepts options for both ends and for each end', async () => {
    const [client, server] = connPair({
      readLimit: 10,
      client: { readLimit: 100 },
      subprotocol: 'x',
    });
    expect([client.role, server.role, client.subprotocol, server.subprotocol]).toEqual([
      'client',
      'server',
      'x',
      'x',
    ]);
    void server.send('x'.repeat(100));
    expect((await client.readMessage()).data.length).toBe(100);
    void client.send('x'.repeat(11));
    await expect(server.readMessage()).rejects.toMatchObject({ limit: 10 });
    await expect(client.readMessage()).rejects.toMatchObject({ closeCode: 1009 });
    expect(await client.closed).toMatchObject({ code: 1009 });
  });

  it('rejects invalid options', () => {
    expect(() => connPair(5 as never)).toThrow(TypeError);
    expect(() => connPair({ readLimit: -1 })).toThrow(RangeError);
  });

  it('propagates backpressure in both directions', async () => {
    const [client, server] = connPair();
    let accepted = 0;
    let stopped = false;
    const writer = (async () => {
      while (!stopped) {
        await client.send(new Uint8Array(10_000));
        accepted++;
      }
    })();
    // All of it happens in this process: what has not come in so many turns does not come.
    await turns(200);
    const before = accepted;
    await turns(200);
    expect(accepted).toBe(before);
    expect(accepted * 10_000).toBeLessThan(1_000_000);
    stopped = true;
    void server.discardReads();
    await writer;
    await client.close();
  });
});
