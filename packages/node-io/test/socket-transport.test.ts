import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Conn, type Transport } from '@ws/conn';
import { FakePlatform } from '@ws/tests';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  hasTransport,
  readBufferState,
  type SocketTransportOptions,
  socketTransport,
} from '../src/index.ts';
import { prepareReadBuffer } from '../src/internal.ts';
import { duplexPair, type Pair, readAll, record, tcpPair, tlsPair } from './sockets.ts';

/** An uncaught error fails the test. */
const uncaught: unknown[] = [];
const trap = (error: unknown): void => void uncaught.push(error);
beforeEach(() => {
  process.on('uncaughtException', trap).on('unhandledRejection', trap);
});
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off('uncaughtException', trap).off('unhandledRejection', trap);
  expect(uncaught.splice(0)).toEqual([]);
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const text = (s: string): Uint8Array => new TextEncoder().encode(s);

it.each([null, new Error('x'), 'x'])('reads no argument of an event: %s', async (argument) => {
  const stream = new Duplex({ read() {}, write: (_, __, done) => done(), emitClose: false });
  const sink = record(socketTransport(stream));
  stream.emit('end', argument);
  stream.emit('close', argument);
  expect(sink.calls).toEqual(['end', 'close']);
  expect(hasTransport(stream)).toBe(false);
});

it('refuses a stream in object mode, which counts chunks instead of bytes', () => {
  for (const mode of [{ readableObjectMode: true }, { writableObjectMode: true }]) {
    const stream = new Duplex({ ...mode, read() {}, write() {} });
    expect(() => socketTransport(stream)).toThrow('object mode');
  }
});

describe.each([
  { over: 'TCP', connect: tcpPair, readBuffer: false },
  { over: 'TCP, with the read buffer', connect: tcpPair, readBuffer: true },
  { over: 'TLS', connect: tlsPair, readBuffer: false },
  { over: 'TLS, with the read buffer', connect: tlsPair, readBuffer: true },
  { over: 'a Duplex in memory', connect: duplexPair, readBuffer: true },
])('socketTransport over $over', ({ over, connect, readBuffer }) => {
  const transportOf = (socket: Socket | Duplex, options?: SocketTransportOptions): Transport =>
    socketTransport(socket, { ...options, readBuffer });
  let pair: Pair;
  beforeAll(prepareReadBuffer);
  beforeEach(async () => {
    pair = await connect();
  });
  afterEach(() => pair.dispose());

  it('carries bytes both ways', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    pair.peer.write('ping');
    await sink.seen('data');
    expect(sink.text()).toBe('ping');
    expect(transport.write(text('pong'))).toBe(true);
    const [answer] = (await once(pair.peer, 'data')) as [Buffer];
    expect(answer.toString()).toBe('pong');
  });

  it('writes behind bytes that others have queued', async () => {
    pair.ours.cork();
    pair.ours.write(new Uint8Array(300_000));
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const released = new Promise<void>((resolve) => {
      expect(transport.write(new Uint8Array(100_000), resolve)).toBe(false);
    });
    pair.ours.uncork();
    let seen = 0;
    pair.peer.on('data', ({ length }: Buffer) => {
      seen += length;
    });
    await Promise.all([released, sink.seen('drain')]);
    transport.end();
    await once(pair.peer, 'end');
    expect(seen).toBe(400_000);
  });

  it('sends the bytes of the call where a replaced write holds them', async () => {
    const write = pair.ours.write.bind(pair.ours) as (...args: unknown[]) => boolean;
    pair.ours.write = ((...args: unknown[]) => {
      setImmediate(() => write(...args));
      return true;
    }) as Socket['write'];
    const transport = transportOf(pair.ours);
    const chunk = text('ours');
    transport.write(chunk, () => chunk.fill(0));
    const [received] = (await once(pair.peer, 'data')) as [Buffer];
    expect(received.toString()).toBe('ours');
  });

  it('delivers early bytes first, and nothing before start has returned', async () => {
    const head = text('early ');
    const transport = transportOf(pair.ours, { head });
    pair.peer.write('late');
    await turn();
    await turn();
    const sink = record(transport);
    expect(sink.calls).toEqual([]);
    await sink.seen(() => sink.bytes === 10);
    expect(sink.text()).toBe('early late');
    sink.chunks[0]!.fill(0);
    expect(Buffer.from(head).toString()).toBe('early ');
  });

  it('holds early bytes back while paused', async () => {
    const transport = transportOf(pair.ours, { head: text('early') });
    const sink = record(transport);
    transport.pause();
    await turn();
    await turn();
    expect(sink.bytes).toBe(0);
    transport.resume();
    await sink.seen('data');
    expect(sink.text()).toBe('early');
  });

  it('resumes a paused socket', async () => {
    pair.ours.pause();
    const sink = record(transportOf(pair.ours));
    pair.peer.write('x');
    await sink.seen('data');
  });

  it('reads at most 256 KiB per turn of the event loop, and continues in the next', async () => {
    const transport = transportOf(pair.ours);
    const total = 4 * 1024 * 1024;
    for (let i = 0; i < total; i += 65_536) pair.peer.write(Buffer.alloc(65_536));
    // More bytes than one turn may read.
    for (let i = 0; i < 20; i++) await turn();
    const sink = record(transport);
    let most = 0;
    for (let seen = 0; seen < total; ) {
      await turn();
      most = Math.max(most, sink.bytes - seen);
      seen = sink.bytes;
    }
    expect(most).toBeLessThanOrEqual(256 * 1024);
  });

  it('pauses for a turn only when reads fill the shared buffer, over TCP', async () => {
    const sink = record(transportOf(pair.ours));
    const pause = vi.spyOn(pair.ours, 'pause');
    for (let sent = 0; sent < 1_000_000; sent += 50_000) {
      pair.peer.write(Buffer.alloc(50_000));
      await sink.seen(() => sink.bytes === sent + 50_000);
    }
    const never = over === 'TCP, with the read buffer' && readBufferState().state === 'on';
    expect(pause.mock.calls.length === 0).toBe(never);
  });

  it('stays paused when it is paused while it yields', async () => {
    const transport = transportOf(pair.ours);
    for (let i = 0; i < 64; i++) pair.peer.write(Buffer.alloc(65_536));
    for (let i = 0; i < 20; i++) await turn();
    const sink = record(transport);
    await sink.seen(() => sink.bytes >= 192 * 1024);
    transport.pause();
    transport.resume();
    transport.pause();
    const { bytes } = sink;
    for (let i = 0; i < 20; i++) await turn();
    expect(sink.bytes).toBe(bytes);
    transport.resume();
    await sink.seen(() => sink.bytes > bytes);
  });

  it('delivers nothing between pause and resume', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    pair.peer.write('one');
    await sink.seen('data');
    transport.pause();
    pair.peer.write('two');
    await turn();
    await turn();
    expect(sink.text()).toBe('one');
    transport.resume();
    await sink.seen(() => sink.bytes === 6);
    expect(sink.text()).toBe('onetwo');
  });

  it('delivers chunks that it does not keep', async () => {
    const sink = record(transportOf(pair.ours));
    const sent = Buffer.from('mine');
    pair.peer.write(sent);
    await sink.seen('data');
    sink.chunks[0]!.fill(0);
    expect(sent.toString()).toBe('mine');
  });

  it('returns false above the high-water mark, then drain, and releases every chunk once', async () => {
    const transport = transportOf(pair.ours, { highWaterMark: 100_000 });
    const sink = record(transport);
    const chunk = Buffer.alloc(64 * 1024, 7);
    const released: number[] = [];
    let sent = 0;
    while (transport.write(chunk, () => released.push(transport.bufferedAmount))) sent++;
    sent++;
    expect(transport.bufferedAmount).toBeGreaterThan(100_000);
    expect(sink.calls).toEqual([]);
    // Bytes above the mark are accepted too. One drain follows any number of false results.
    expect(transport.write(chunk, () => released.push(0))).toBe(false);
    sent++;
    sink.onDrain = () => expect(transport.bufferedAmount).toBeLessThanOrEqual(100_000);
    let received = 0;
    pair.peer.on('data', (piece: Buffer) => {
      received += piece.length;
    });
    await sink.seen('drain');
    while (received < sent * chunk.length) await turn();
    while (transport.bufferedAmount > 0) await turn();
    await turn();
    expect(released.length).toBe(sent);
    expect(sink.calls).toEqual(['drain']);
  });

  it('gives the socket at most 256 KiB at a time, and releases a chunk once at its end', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const chunk = Buffer.concat(Array.from({ length: 2048 }, (_, i) => Buffer.alloc(4096, i)));
    let released = 0;
    expect(transport.write(chunk, () => released++)).toBe(false);
    expect(transport.write(text('after'), () => released++)).toBe(false);
    transport.end();
    expect(transport.write(text('late'), () => released++)).toBe(true);
    expect(released).toBe(1);
    const pieces: Buffer[] = [];
    pair.peer.on('data', (piece: Buffer) => {
      pieces.push(piece);
      expect(pair.ours.writableLength).toBeLessThanOrEqual(256 * 1024 + 5);
    });
    await once(pair.peer, 'end');
    expect(Buffer.concat(pieces).equals(Buffer.concat([chunk, text('after')]))).toBe(true);
    expect(released).toBe(3);
    expect(sink.calls).toEqual(['drain']);
    expect(transport.bufferedAmount).toBe(0);
  });

  it('releases the waiting chunks when it is destroyed', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const released: string[] = [];
    transport.write(Buffer.alloc(8 * 1024 * 1024), () => released.push('first'));
    transport.write(text('second'), () => released.push('second'));
    transport.end();
    transport.destroy();
    expect(released).toEqual([]);
    await sink.seen('close');
    expect(released).toEqual(['first', 'second']);
    expect(sink.error).toBeUndefined();
  });

  it('ends with an error when waiting bytes are detached', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const chunk = new Uint8Array(16 * 1024 * 1024);
    transport.write(chunk);
    structuredClone(chunk.buffer, { transfer: [chunk.buffer] });
    pair.peer.resume();
    await sink.seen('close');
    expect(sink.error?.message).toContain('bytes of a pending write were detached');
  });

  it('ends with an error when a release function throws, and calls the others', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const mine = new Error('mine');
    let released = 0;
    const fails = (): void => {
      released++;
      throw mine;
    };
    for (let i = 0; i < 3; i++) transport.write(Buffer.alloc(8 * 1024 * 1024), fails);
    pair.peer.resume();
    await sink.seen('close');
    expect(released).toBe(3);
    expect(sink.error?.cause).toBe(mine);
  });

  it('calls all release functions at its close although they throw', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const mine = new Error('mine');
    let released = 0;
    for (let i = 0; i < 3; i++) {
      transport.write(Buffer.alloc(8 * 1024 * 1024), () => {
        released++;
        throw mine;
      });
    }
    transport.destroy();
    await sink.seen('close');
    expect(released).toBe(3);
    expect(sink.error?.cause).toBe(mine);
  });

  it('drains once for each false', async () => {
    const transport = transportOf(pair.ours, { highWaterMark: 1 });
    const sink = record(transport);
    pair.peer.resume();
    const chunk = Buffer.alloc(8 * 1024 * 1024);
    for (let i = 1; i <= 3; i++) {
      expect(transport.write(chunk)).toBe(false);
      await sink.seen(() => sink.count('drain') === i);
      await turn();
      expect(sink.count('drain')).toBe(i);
    }
  });

  it('sends what is written between cork and uncork in order', async () => {
    const transport = transportOf(pair.ours);
    record(transport);
    let released = 0;
    const release = (): void => void released++;
    transport.cork?.();
    transport.write(text('head '), release);
    transport.write(text('payload'), release);
    expect(released).toBe(over.includes('Duplex') ? 2 : 0);
    expect(transport.bufferedAmount).toBe(12);
    transport.uncork?.();
    transport.end();
    expect((await readAll(pair.peer)).toString()).toBe('head payload');
    expect(released).toBe(2);
  });

  it('ends after all written bytes, and reads on', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const big = Buffer.alloc(3 * 1024 * 1024, 1);
    transport.write(big);
    transport.end();
    expect((await readAll(pair.peer)).length).toBe(big.length);
    pair.peer.write('still here');
    await sink.seen('data');
    pair.peer.end();
    await sink.seen('close');
    expect(sink.calls.slice(-2)).toEqual(['end', 'close']);
    expect(sink.error).toBeUndefined();
  });

  it('continues to write after the peer has ended', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    const big = Buffer.alloc(6 * 1024 * 1024, 2);
    let released = 0;
    transport.write(big, () => released++);
    pair.peer.end();
    await sink.seen('end');
    transport.write(text('last'), () => released++);
    transport.end();
    const all = await readAll(pair.peer);
    expect(all.length).toBe(big.length + 4);
    expect(all.subarray(-4).toString()).toBe('last');
    await sink.seen('close');
    expect(released).toBe(2);
    expect(sink.calls.filter((call) => call !== 'drain')).toEqual(['end', 'close']);
  });

  it('closes after the end of the peer, and loses no byte that was written before', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    pair.peer.end();
    await sink.seen('end');
    let released = 0;
    transport.write(text('last'), () => released++);
    transport.end();
    expect((await readAll(pair.peer)).toString()).toBe('last');
    await sink.seen('close');
    expect([sink.error, released, sink.calls]).toEqual([undefined, 1, ['end', 'close']]);
  });

  it('writes no byte after end, and releases its chunks', async () => {
    const transport = transportOf(pair.ours);
    record(transport);
    transport.end();
    transport.end();
    let released = 0;
    expect(transport.write(text('late'), () => released++)).toBe(true);
    expect(released).toBe(1);
    expect((await readAll(pair.peer)).length).toBe(0);
  });

  it('closes once after destroy, releases unsent chunks, and accepts no more', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    let released = 0;
    const chunk = Buffer.alloc(8 * 1024 * 1024);
    for (let i = 0; i < 3; i++) transport.write(chunk, () => released++);
    const fault = new Error('enough');
    transport.destroy(fault);
    transport.destroy(new Error('again'));
    expect(transport.write(chunk, () => released++)).toBe(true);
    transport.end();
    transport.pause();
    transport.resume();
    transport.cork?.();
    transport.uncork?.();
    await sink.seen('close');
    await turn();
    await turn();
    expect(released).toBe(4);
    expect(sink.calls).toEqual(['close']);
    expect(sink.error).toBe(fault);
  });

  it('closes without an error after destroy without one', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    transport.destroy();
    await sink.seen('close');
    expect(sink.error).toBeUndefined();
  });

  it('delivers nothing after destroy, also of what it has read', async () => {
    const transport = transportOf(pair.ours, { head: text('one') });
    const sink = record(transport);
    sink.onData = () => transport.destroy();
    pair.peer.write('two');
    await sink.seen('close');
    expect(sink.calls).toEqual(['data', 'close']);
  });

  it('catches an error of the socket, also after the close', async () => {
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    pair.ours.emit('error', new Error('first'));
    await sink.seen('close');
    pair.ours.emit('error', new Error('late'));
    expect(sink.error?.message).toBe('first');
  });

  it('catches an error before start, and reports it at start', async () => {
    const transport = transportOf(pair.ours);
    pair.ours.destroy(new Error('before start'));
    await new Promise((resolve) => pair.ours.on('close', resolve));
    const sink = record(transport);
    expect(sink.calls).toEqual([]);
    await sink.seen('close');
    expect(sink.error?.message).toBe('before start');
    await turn();
    expect(sink.calls).toEqual(['close']);
  });

  it('reports an end that was read before start', async () => {
    pair.ours.resume();
    pair.ours.allowHalfOpen = true;
    pair.peer.end();
    await once(pair.ours, 'end');
    const sink = record(transportOf(pair.ours, { head: text('early') }));
    await sink.seen('end');
    expect(sink.calls).toEqual(['data', 'end']);
  });

  it('delivers early bytes before an end that arrives before start', async () => {
    const transport = transportOf(pair.ours, { head: text('early') });
    pair.peer.end();
    for (let i = 0; i < 5; i++) await turn();
    const sink = record(transport);
    await sink.seen('end');
    expect(sink.text()).toBe('early');
  });

  it('keeps only the listener for late errors', async () => {
    const names = ['data', 'end', 'close', 'drain', 'timeout', 'finish'];
    const counts = (): number[] => names.map((name) => pair.ours.listenerCount(name));
    const before = counts();
    const transport = transportOf(pair.ours);
    const sink = record(transport);
    transport.write(Buffer.alloc(4 * 1024 * 1024));
    transport.destroy();
    await sink.seen('close');
    expect(counts().every((n, i) => n <= before[i]!)).toBe(true);
    expect(Object.getOwnPropertySymbols(pair.ours).map((s) => s.description)).toContain(
      'transport',
    );
  });

  it('rejects a socket that has a transport', () => {
    expect(hasTransport(pair.ours)).toBe(false);
    transportOf(pair.ours);
    expect(hasTransport(pair.ours)).toBe(true);
    expect(() => transportOf(pair.ours)).toThrow('is a transport already');
  });

  it('fails on a socket with an encoding set', async () => {
    pair.ours.setEncoding('utf8');
    const sink = record(transportOf(pair.ours));
    pair.peer.write('text');
    await sink.seen('close');
    expect(sink.error).toBeInstanceOf(TypeError);
    expect(sink.bytes).toBe(0);
  });

  it('names both ends when they have addresses', async () => {
    const transport = transportOf(pair.ours);
    expect(transport.underlying).toBe(pair.ours);
    if (!(pair.ours instanceof net.Socket)) {
      expect([transport.localAddr, transport.remoteAddr]).toEqual([undefined, undefined]);
      return;
    }
    expect(transport.localAddr).toBe(`127.0.0.1:${pair.ours.localPort}`);
    const { remotePort } = pair.ours;
    expect(transport.remoteAddr).toBe(`127.0.0.1:${remotePort}`);
    const sink = record(transport);
    transport.destroy();
    await sink.seen('close');
    expect(transport.remoteAddr).toBe(`127.0.0.1:${remotePort}`);
    expect(transport.localAddr).toBe(transport.localAddr);
  });

  it(`releases a chunk ${over === 'TLS' ? 'after' : 'inside'} the write`, async () => {
    const transport = transportOf(pair.ours);
    record(transport);
    pair.peer.resume();
    let released = 0;
    transport.write(text('small'), () => released++);
    expect(released).toBe(over.startsWith('TLS') ? 0 : 1);
    transport.write(text('small'), () => released++);
    while (released < 2 || transport.bufferedAmount > 0) await turn();
    expect(transport.bufferedAmount).toBe(0);
  });
});

describe.each([
  { over: 'TCP', connect: tcpPair, readBuffer: false },
  { over: 'TCP, with the read buffer', connect: tcpPair, readBuffer: true },
  { over: 'TLS', connect: tlsPair, readBuffer: false },
  { over: 'TLS, with the read buffer', connect: tlsPair, readBuffer: true },
])('socketTransport over $over', ({ connect, readBuffer }) => {
  let pair: Pair;
  beforeAll(prepareReadBuffer);
  beforeEach(async () => {
    pair = await connect();
  });
  afterEach(() => pair.dispose());

  it('closes with ECONNRESET when the peer resets, and releases unsent chunks', async () => {
    const transport = socketTransport(pair.ours, { readBuffer });
    const sink = record(transport);
    let released = 0;
    for (let i = 0; i < 10; i++) transport.write(Buffer.alloc(1024 * 1024), () => released++);
    pair.peerTcp?.resetAndDestroy();
    await sink.seen('close');
    expect((sink.error as NodeJS.ErrnoException).code).toMatch(/ECONNRESET|EPIPE/);
    expect(released).toBe(10);
    expect(sink.count('close')).toBe(1);
    transport.write(text('after'));
    await turn();
  });

  it.each([
    ['reset by the peer', (pair: Pair) => void pair.peerTcp?.resetAndDestroy()],
    ['destroyed', (_: Pair, transport: Transport) => transport.destroy()],
  ])('releases unsent bytes only with its end, when %s', async (_, ends) => {
    const transport = socketTransport(pair.ours, { readBuffer });
    const order: string[] = [];
    const release = (): void => {
      order.push('release');
      // Reported in the same step: a microtask later the connection knows that these bytes were not
      // sent.
      queueMicrotask(() => order.push('microtask'));
    };
    const closed = new Promise<void>((resolve) => {
      const close = (): void => {
        order.push('close');
        resolve();
      };
      transport.start({ data() {}, drain() {}, end() {}, close });
    });
    pair.peer.pause();
    for (let i = 0; i < 3; i++) transport.write(Buffer.alloc(8 * 1024 * 1024), release);
    ends(pair, transport);
    if (!pair.ours.destroyed) await new Promise((resolve) => pair.ours.once('error', resolve));
    // The socket is destroyed, and its end is not yet reported.
    transport.write(Buffer.alloc(1), release);
    await closed;
    expect(order.slice(0, order.indexOf('close'))).toEqual(Array(4).fill('release'));
  });

  it('turns Nagle and the idle timeout off', async () => {
    const socket = pair.ours as net.Socket;
    socket.setTimeout(1);
    socketTransport(socket);
    expect(socket.timeout).toBe(0);
  });
});

describe('socketTransport', () => {
  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuses a highWaterMark of %d',
    (highWaterMark) => {
      expect(() => socketTransport(new Duplex(), { highWaterMark })).toThrow(RangeError);
    },
  );

  it('releases the bytes of a write that fails at once with the end', async () => {
    const pair = await tcpPair();
    const transport = socketTransport(pair.ours);
    const sink = record(transport);
    pair.peerTcp?.resetAndDestroy();
    transport.write(text('lost'), () => sink.calls.push('release'));
    expect(sink.calls).toEqual([]);
    await sink.seen('close');
    expect((sink.error as NodeJS.ErrnoException).code).toMatch(/EPIPE|ECONNRESET/);
    expect(sink.calls).toEqual(['release', 'close']);
    await pair.dispose();
  });

  it('keeps one write in flight and the order of all others', async () => {
    const pair = await tcpPair();
    const transport = socketTransport(pair.ours);
    record(transport);
    const order: number[] = [];
    const sizes = [5 * 1024 * 1024, 1, 70_000, 3, 2 * 1024 * 1024];
    for (const [i, size] of sizes.entries()) {
      transport.write(Buffer.alloc(size, i), () => order.push(i));
    }
    transport.end();
    const all = await readAll(pair.peer);
    let at = 0;
    for (const [i, size] of sizes.entries()) {
      expect(all.subarray(at, at + size).every((b) => b === i)).toBe(true);
      at += size;
    }
    expect(order).toEqual([0, 1, 2, 3, 4]);
    await pair.dispose();
  });

  it('writes to a socket that is still connecting', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    const transport = socketTransport(socket);
    const sink = record(transport);
    let released = 0;
    transport.write(text('early'), () => released++);
    expect(released).toBe(0);
    transport.end();
    const [peer] = await accepted;
    expect((await readAll(peer)).toString()).toBe('early');
    await sink.seen('close');
    expect(released).toBe(1);
    server.close();
  });

  it('brackets an IPv6 address', async () => {
    const server = net.createServer().listen(0, '::1');
    const failed = once(server, 'error').then(() => 'no IPv6 here');
    if (await Promise.race([once(server, 'listening').then(() => ''), failed])) return;
    const { port } = server.address() as net.AddressInfo;
    const socket = net.connect(port, '::1');
    await once(socket, 'connect');
    const transport = socketTransport(socket);
    expect(transport.remoteAddr).toBe(`[::1]:${port}`);
    const sink = record(transport);
    transport.destroy();
    await sink.seen('close');
    server.close();
  });
});

describe('socketTransport over a socket that is still connecting', () => {
  it.each([
    ['of the peer', 'peer'],
    ['of ours', 'ours'],
  ])('keeps the address of the peer, once it was read, after an end %s', async (_, ends) => {
    const server = net.createServer((peer) => {
      peer.on('error', () => {});
      if (ends === 'peer') peer.end();
      else peer.once('end', () => peer.end()).resume();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as net.AddressInfo;
    const socket = net.connect(port, '127.0.0.1');
    const transport = socketTransport(socket);
    expect(transport.remoteAddr).toBeUndefined();
    transport.start({ data() {}, drain() {}, end: () => transport.end(), close() {} });
    socket.once('connect', () => {
      expect(transport.remoteAddr).toBe(`127.0.0.1:${port}`);
      if (ends === 'ours') transport.end();
    });
    await once(socket, 'close');
    expect(transport.remoteAddr).toBe(`127.0.0.1:${port}`);
    server.close();
  });
});

/** A stream that holds each chunk until the test calls `accept`. */
class Blocked extends Duplex {
  readonly sizes: number[] = [];
  #done: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sizes.push(chunk.length);
    this.#done = done;
  }

  accept(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}

describe('socketTransport over a blocked stream', () => {
  it('shows the progress of a chunk of 4 MiB in steps of 256 KiB', async () => {
    const stream = new Blocked();
    const transport = socketTransport(stream);
    record(transport);
    const size = 4 * 1024 * 1024;
    const step = 256 * 1024;
    let released = 0;
    expect(transport.write(new Uint8Array(size), () => released++)).toBe(false);
    for (let sent = 0; sent < size; sent += step) {
      expect(transport.bufferedAmount).toBe(size - sent);
      stream.accept();
      await turn();
    }
    expect(transport.bufferedAmount).toBe(0);
    expect(new Set(stream.sizes)).toEqual(new Set([step]));
    expect(released).toBe(1);
    stream.destroy();
  });

  it('gives small chunks together, as far as they fit', async () => {
    const stream = new Blocked();
    const transport = socketTransport(stream);
    record(transport);
    for (let i = 0; i < 100; i++) transport.write(new Uint8Array(10_000));
    expect(stream.writableLength).toBe(26 * 10_000);
    expect(transport.bufferedAmount).toBe(100 * 10_000);
    while (transport.bufferedAmount > 0) {
      stream.accept();
      await turn();
      expect(stream.writableLength).toBeLessThanOrEqual(256 * 1024);
    }
    expect(stream.sizes).toEqual(Array<number>(100).fill(10_000));
    stream.destroy();
  });

  it('keeps a connection with a heartbeat open while a large message is sent slowly', async () => {
    const stream = new Blocked();
    const platform = new FakePlatform();
    const conn = new Conn(socketTransport(stream), {
      role: 'server',
      platform,
      heartbeat: { interval: 1_000, timeout: 1_000 },
    });
    let sent = false;
    void conn.send(new Uint8Array(4 * 1024 * 1024)).then(() => {
      sent = true;
    });
    for (let i = 0; i < 17; i++) {
      await platform.advance(1_500);
      expect(conn.state).toBe('open');
      stream.accept();
      await turn();
    }
    await platform.settle();
    expect(sent).toBe(true);
    // The peer reads 10 MiB in 60 s: the kernels may hold as many.
    await platform.advance(55_000);
    expect(conn.state).toBe('open');
    await platform.advance(10_000);
    expect(conn.state).toBe('closed');
  });
});
