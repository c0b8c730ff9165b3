import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Conn, type Transport } from '@ws/conn';
import {
  type Http2Peer,
  hex,
  http2Client,
  nothingLeft,
  nothingUnhandled,
  RecordingSink,
  streamPair,
  turn,
  WEBSOCKET_REQUEST,
  whenOver,
} from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { http2Transport, nodePlatform } from '../../src/index.ts';
import { countUnread } from '../../src/internal.ts';

nothingLeft();
nothingUnhandled();

interface Served {
  readonly peer: Http2Peer;
  readonly stream: ServerHttp2Stream;
  readonly transport: Transport;
}

/** A transport of Node's server, and a raw client on stream 1. */
async function served(settings: readonly (readonly [number, number])[] = []): Promise<Served> {
  const server = createServer({ settings: { enableConnectProtocol: true } });
  server.on('session', (session) => session.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => void server.close());
  const peer = await http2Client((server.address() as AddressInfo).port, settings);
  peer.headers(1, WEBSOCKET_REQUEST);
  const [stream] = (await once(server, 'stream')) as [ServerHttp2Stream];
  stream.respond({ ':status': 200 });
  await peer.until(() => peer.story(1).length > 0);
  return { peer, stream, transport: http2Transport(stream) };
}

describe('http2Transport', () => {
  it('sends RST_STREAM with CANCEL alone for destroy', async () => {
    const { peer, transport } = await served();
    const sink = new RecordingSink();
    transport.start(sink);
    transport.destroy();
    await sink.until('close');
    expect(sink.error).toBeUndefined();
    await peer.until(() => peer.story(1).length > 1);
    await turn();
    expect(peer.story(1)).toEqual(['HEADERS', 'RST_STREAM 8']);
  });

  it('sends the writes of a turn in one frame of DATA', async () => {
    const { peer, transport } = await served();
    transport.start(new RecordingSink());
    for (let i = 0; i < 10; i++) transport.write(Buffer.alloc(10, i));
    transport.end();
    await peer.until(() => peer.story(1).length > 1);
    expect(peer.story(1)).toEqual(['HEADERS', 'DATA 100 END']);
  });

  it.each<[string, () => unknown]>([
    ['in the turn of the write', () => {}],
    ['while the stream has them', () => new Promise((done) => process.nextTick(done))],
  ])(
    'sends its last bytes as they were, which may change at their release: end %s',
    async (_, wait) => {
      const { peer, transport } = await served();
      const sink = new RecordingSink();
      transport.start(sink);
      peer.data(1, Buffer.alloc(0), true);
      await sink.until('end');
      const last = [Buffer.from('the '), Buffer.from('end')];
      for (const bytes of last) transport.write(bytes, () => bytes.fill(0));
      await wait();
      transport.end();
      await peer.until(() => peer.story(1).at(-1)!.endsWith(' END'));
      expect(String(peer.bytes(1))).toBe('the end');
      await sink.until('close');
      expect(sink.error).toBeUndefined();
      expect(last.map(String)).toEqual(['\0\0\0\0', '\0\0\0']);
    },
  );

  it('sends no byte of the memory that a destroy has released', async () => {
    const { peer, transport } = await served([[4, 2 ** 31 - 1]]);
    peer.window(0, 2 ** 31 - 65_536);
    const sink = new RecordingSink();
    transport.start(sink);
    for (let i = 0; i < 5; i++) await turn();
    peer.socket.pause();
    let sent = 0;
    for (let i = 0; i < 400; i++) {
      const bytes = Buffer.alloc(65_536, 1);
      transport.write(bytes, () => {
        sent++;
        bytes.fill(0);
      });
    }
    // Until the system takes no more.
    for (let before = -1; before < sent; ) {
      before = sent;
      for (let i = 0; i < 50; i++) await turn();
    }
    expect(sent).toBeLessThan(400);
    transport.destroy();
    await sink.until('close');
    peer.socket.resume();
    await peer.until(() => peer.story(1).includes('RST_STREAM 8'));
    expect(peer.bytes(1).includes(0)).toBe(false);
  });

  it('gives the stream at most 64 KiB at a time', async () => {
    // Window of a stream: 1 MiB. That of the session is smaller.
    const { peer, stream, transport } = await served([[4, 1 << 20]]);
    const sink = new RecordingSink();
    transport.start(sink);
    expect(transport.write(new Uint8Array(300_000))).toBe(false);
    await peer.until(() => peer.dataLength(1) === 65_535);
    expect(transport.bufferedAmount).toBe(300_000);
    expect(stream.writableLength).toBe(65_536);
    peer.window(0, 100_000);
    await peer.until(() => peer.dataLength(1) === 165_535);
    expect(transport.bufferedAmount).toBe(300_000 - 2 * 65_536);
    expect(sink.calls).toEqual([]);
    peer.window(0, 200_000);
    await sink.until('drain');
  });

  it.each([
    { code: 0, name: 'NO_ERROR' },
    { code: 2, name: 'INTERNAL_ERROR' },
    { code: 8, name: 'CANCEL' },
    { code: 99, name: 'code 99' },
  ])('reports a reset with $name as an error, not as an end', async ({ code, name }) => {
    const { peer, transport } = await served();
    const sink = new RecordingSink();
    transport.start(sink);
    peer.data(1, Buffer.from('read'));
    await sink.until('data');
    peer.reset(1, code);
    await sink.until('close');
    expect(sink.calls).toEqual(['data', 'close']);
    expect(sink.error?.message).toBe(`the peer reset the stream: ${name}`);
  });

  it('delivers the bytes before an END_STREAM that a reset follows', async () => {
    const { peer, transport, stream } = await served();
    const sink = new RecordingSink();
    transport.start(sink);
    transport.pause();
    peer.data(1, Buffer.from('the end'), true);
    while (stream.readableLength < 7) await turn();
    peer.reset(1, 0);
    for (let i = 0; i < 5; i++) await turn();
    transport.resume();
    await sink.until('close');
    expect(Buffer.from(sink.received).toString()).toBe('the end');
    expect(sink.calls.slice(1)).toEqual(['end', 'close']);
  });

  it('reports the end of its session as an error', async () => {
    const { peer, transport } = await served();
    const sink = new RecordingSink();
    transport.start(sink);
    peer.socket.end();
    await sink.until('close');
    expect(sink.calls).toEqual(['close']);
    expect(sink.error?.message).toBe('the HTTP/2 session has ended');
  });

  it('fails on a stream with an encoding set', async () => {
    const { peer, stream, transport } = await served();
    stream.setEncoding('utf8');
    const sink = new RecordingSink();
    transport.start(sink);
    peer.data(1, Buffer.from('text'));
    await sink.until('close');
    expect(sink.error?.message).toMatch(/do not call setEncoding/);
    expect(sink.chunks).toEqual([]);
  });

  it('names its addresses after the close', async () => {
    const { peer, transport } = await served();
    const sink = new RecordingSink();
    transport.start(sink);
    transport.destroy();
    await sink.until('close');
    const { localPort, remotePort } = peer.socket;
    expect(transport.remoteAddr).toBe(`127.0.0.1:${localPort}`);
    expect(transport.localAddr).toBe(`127.0.0.1:${remotePort}`);
  });

  it('rejects what is no stream of HTTP/2, a second transport and a bad mark', async () => {
    const { stream } = await served();
    expect(() => http2Transport({} as never)).toThrow(/a stream of node:http2, got Object/);
    expect(() => http2Transport(stream)).toThrow('the stream is a transport already');
    const pair = await streamPair(false);
    whenOver(pair.dispose);
    expect(() => http2Transport(pair.client, { highWaterMark: 0 })).toThrow(/highWaterMark/);
  });

  it('blocks no other stream of its session while it is paused', async () => {
    const pair = await streamPair(false);
    whenOver(pair.dispose);
    const streams = [[pair.client, pair.server] as const];
    while (streams.length < 50) streams.push(await pair.open());
    const sinks = streams.map(([, server], i) => {
      const transport = http2Transport(server);
      const sink = new RecordingSink();
      transport.start(sink);
      if (i === 0) transport.pause();
      return { sink, transport };
    });
    // Four windows of a stream, 50 of a session.
    const size = 1024 * 1024;
    for (const [client] of streams) client.end(new Uint8Array(size));
    for (const { sink } of sinks.slice(1)) {
      await sink.until('end');
      expect(sink.size).toBe(size);
    }
    const [first] = sinks;
    expect(first!.sink.size).toBeLessThan(size);
    first!.transport.resume();
    await first!.sink.until('end');
    expect(first!.sink.size).toBe(size);
  });

  it('resets the streams that were paused longest when a session has 32 MiB unread', async () => {
    const pair = await streamPair(false, 4 * 1024 * 1024);
    whenOver(pair.dispose);
    const streams = [[pair.client, pair.server] as const];
    while (streams.length < 10) streams.push(await pair.open());
    const sinks = streams.map(([, server]) => {
      const transport = http2Transport(server);
      const sink = new RecordingSink();
      transport.start(sink);
      transport.pause();
      return sink;
    });
    for (const [client] of streams) client.write(new Uint8Array(4 * 1024 * 1024));
    await sinks[0]!.until('close');
    await sinks[1]!.until('close');
    for (let i = 0; i < 50; i++) await turn();
    expect(sinks.map(({ calls }) => calls.includes('close'))).toEqual([
      true,
      true,
      ...Array<boolean>(8).fill(false),
    ]);
    expect(sinks[0]!.error?.message).toMatch(/more than 33554432 unread bytes/);
    expect(streams[0]![0].rstCode).toBe(11);
  });

  it('resets a stream without a transport too, if its bytes are counted', async () => {
    const pair = await streamPair(false, 4 * 1024 * 1024);
    whenOver(pair.dispose);
    const streams = [[pair.client, pair.server] as const];
    while (streams.length < 10) streams.push(await pair.open());
    countUnread(pair.server);
    for (const [, server] of streams.slice(1)) {
      const transport = http2Transport(server);
      transport.start(new RecordingSink());
      transport.pause();
    }
    const closed = new Promise((resolve) => void pair.client.once('close', resolve));
    for (const [client] of streams) client.write(new Uint8Array(4 * 1024 * 1024));
    await closed;
    expect(pair.client.rstCode).toBe(11);
  });

  it('ends with the error of a function that releases a chunk', async () => {
    const { peer, transport } = await served();
    const sink = new RecordingSink();
    transport.start(sink);
    const cause = new Error('mine');
    transport.write(Buffer.from('text'), () => {
      throw cause;
    });
    await sink.until('close');
    expect(sink.error?.cause).toBe(cause);
    await peer.until(() => peer.story(1).includes('RST_STREAM 8'));
  });
});

describe('a Conn on a stream of HTTP/2', () => {
  const close1000 = hex('88 82 00 00 00 00 03 e8');

  it('ends its side after both close frames, and resets with NO_ERROR without the peer’s end', async () => {
    const { peer, transport } = await served();
    const conn = new Conn(transport, { role: 'server', platform: nodePlatform });
    peer.data(1, close1000);
    const started = performance.now();
    expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
    expect(performance.now() - started).toBeGreaterThan(200);
    await peer.until(() => peer.story(1).length > 2);
    expect(peer.story(1)).toEqual(['HEADERS', 'DATA 4 END', 'RST_STREAM 0']);
  });

  it('sends no reset when the peer ends its side', async () => {
    const { peer, transport } = await served();
    const conn = new Conn(transport, { role: 'server', platform: nodePlatform });
    peer.data(1, close1000, true);
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
    await peer.until(() => peer.story(1).length > 1);
    for (let i = 0; i < 5; i++) await turn();
    expect(peer.story(1)).toEqual(['HEADERS', 'DATA 4 END']);
  });

  it('waits as a client for the end of the server, and then resets with CANCEL', async () => {
    const { peer, transport } = await served();
    const conn = new Conn(transport, { role: 'client', platform: nodePlatform });
    void conn.close(1000);
    await peer.until(() => peer.story(1).length > 1);
    peer.data(1, hex('88 02 03 e8'));
    expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
    await peer.until(() => peer.story(1).length > 2);
    expect(peer.story(1)).toEqual(['HEADERS', 'DATA 8', 'RST_STREAM 8']);
  });

  it('delivers to a slow server everything before the close frame of the client', async () => {
    const pair = await streamPair(false);
    whenOver(pair.dispose);
    const platform = nodePlatform;
    const client = new Conn(http2Transport(pair.client), { role: 'client', platform });
    const server = new Conn(http2Transport(pair.server), {
      role: 'server',
      platform,
      readAhead: 1,
    });
    void client.discardReads();
    await client.send('first');
    expect((await server.readMessage()).text()).toBe('first');
    void client.send(new Uint8Array(50_000));
    void client.send('last');
    const closing = server.close(1000);
    while (client.state === 'open') await turn();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    whenOver(() => void vi.useRealTimers());
    // Much longer than a client waits for a server that has answered, and less than closeTimeout.
    await vi.advanceTimersByTimeAsync(1_000);
    for (let i = 0; i < 10; i++) await turn();
    expect((await server.readMessage()).data).toHaveLength(50_000);
    expect((await server.readMessage()).text()).toBe('last');
    await expect(server.readMessage()).rejects.toThrow('close 1000');
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
    expect(await client.closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('ends with 1006 and the cause after a reset', async () => {
    const { peer, transport } = await served();
    const conn = new Conn(transport, { role: 'server', platform: nodePlatform });
    peer.reset(1, 8);
    expect(await conn.closed).toMatchObject({
      code: 1006,
      wasClean: false,
      error: { code: 'WS_ERR_TRANSPORT', cause: { message: 'the peer reset the stream: CANCEL' } },
    });
  });
});
