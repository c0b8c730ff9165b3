import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net, { type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { simdReadBuffer } from '@ws/codec/internal';
import { selfSigned } from '@ws/tests';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type BufferSink,
  prepareReadBuffer,
  readBufferState,
  readInto,
  stopReadInto,
  wantsReadBuffer,
} from '../src/read-buffer.ts';
import { duplexPair, type Pair, tcpPair, tlsPair } from './sockets.ts';

beforeAll(prepareReadBuffer);

/** Bytes whose value shows their place. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + (i >> 8) + (i >> 16);
  return bytes;
}

/** Collects copies of what a sink gets, and waits for an amount of it. */
class Collected {
  readonly sink: BufferSink;
  readonly buffers = new Set<Uint8Array>();
  #chunks: Buffer[] = [];
  #length = 0;
  #wanted = Infinity;
  #arrived: () => void = () => {};

  constructor() {
    this.sink = {
      data: (buffer, end) => {
        this.buffers.add(buffer);
        this.add(buffer.subarray(0, end));
      },
      overwritten: () => {
        throw new Error('a read ran within another one');
      },
    };
  }

  add(bytes: Uint8Array): void {
    this.#chunks.push(Buffer.from(bytes));
    this.#length += bytes.length;
    if (this.#length >= this.#wanted) this.#arrived();
  }

  async reaches(length: number): Promise<Buffer> {
    if (this.#length < length) {
      await new Promise<void>((resolve) => {
        this.#wanted = length;
        this.#arrived = resolve;
      });
    }
    return this.bytes;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

const socketOf = (pair: Pair): Socket => pair.ours as Socket;

const rows = [
  { over: 'TCP', connect: tcpPair },
  { over: 'TLS', connect: tlsPair },
];

describe('readBufferState', () => {
  it('is on after the self-test', () => {
    expect(readBufferState()).toEqual({ state: 'on', reason: 'the self-test has passed' });
  });
});

describe('wantsReadBuffer', () => {
  it('is true by default on Linux alone, where it was measured', () => {
    const { platform } = process;
    try {
      for (const [name, wanted] of Object.entries({ linux: true, darwin: false, win32: false })) {
        Object.defineProperty(process, 'platform', { value: name });
        expect([name, wantsReadBuffer(undefined)]).toEqual([name, wanted]);
      }
    } finally {
      Object.defineProperty(process, 'platform', { value: platform });
    }
  });

  it.each([true, false])('follows the option %s', (option) => {
    expect(wantsReadBuffer(option)).toBe(option);
  });
});

describe.each(rows)('readInto over $over', ({ connect }) => {
  const pairs: Pair[] = [];
  const pairOf = async (): Promise<Pair> => {
    const pair = await connect();
    pairs.push(pair);
    return pair;
  };
  afterEach(async () => {
    await Promise.all(pairs.splice(0).map((pair) => pair.dispose()));
  });

  it('delivers all bytes in order, from one buffer for all sockets', async () => {
    const [a, b] = [await pairOf(), await pairOf()];
    const [first, second] = [new Collected(), new Collected()];
    expect(readInto(socketOf(a), first.sink)).toBe(true);
    expect(readInto(socketOf(b), second.sink)).toBe(true);
    const sent = pattern(300_000);
    a.peer.write(sent);
    b.peer.write(sent);
    a.ours.resume();
    b.ours.resume();
    expect((await first.reaches(sent.length)).equals(sent)).toBe(true);
    expect((await second.reaches(sent.length)).equals(sent)).toBe(true);
    const [buffer, ...others] = new Set([...first.buffers, ...second.buffers]);
    expect(buffer).toBe(simdReadBuffer());
    expect(others).toEqual([]);
  });

  it('delivers unshifted bytes first', async () => {
    const pair = await pairOf();
    const got = new Collected();
    pair.ours.unshift(Buffer.from('early '));
    readInto(socketOf(pair), got.sink);
    pair.ours.resume();
    pair.peer.write('late');
    expect((await got.reaches(10)).toString()).toBe('early late');
  });

  it('keeps the order of bytes that arrive during a pause', async () => {
    const pair = await pairOf();
    const got = new Collected();
    const sent = pattern(2_000_000);
    const socket = socketOf(pair);
    let pauses = 0;
    readInto(socket, {
      ...got.sink,
      data(buffer, end) {
        got.add(buffer.subarray(0, end));
        if (pauses++ < 20) {
          socket.pause();
          setImmediate(() => socket.resume());
        }
      },
    });
    socket.resume();
    pair.peer.write(sent);
    expect((await got.reaches(sent.length)).equals(sent)).toBe(true);
  });

  it('reports the end and the close as before', async () => {
    const pair = await pairOf();
    readInto(socketOf(pair), new Collected().sink);
    pair.ours.resume();
    const events: string[] = [];
    pair.ours.on('end', () => events.push('end')).on('close', () => events.push('close'));
    pair.peer.end('last');
    await once(pair.ours, 'end');
    pair.ours.end();
    await once(pair.ours, 'close');
    expect(events).toEqual(['end', 'close']);
    expect(socketOf(pair).bytesRead).toBe(4);
  });

  it.each(['data', 'readable', 'pipe', 'for await', 'data in its place'] as const)(
    'gives all later bytes to another consumer too: %s',
    async (how) => {
      const pair = await pairOf();
      const [ours, other] = [new Collected(), new Collected()];
      const socket = socketOf(pair);
      readInto(socket, ours.sink);
      socket.resume();
      pair.peer.write('before ');
      await ours.reaches(7);
      const isAlone = how === 'data in its place';
      if (isAlone) socket.removeAllListeners('data');
      consume(socket, how, other);
      pair.peer.write('after');
      expect((await other.reaches(5)).toString()).toBe('after');
      const all = isAlone ? 'before ' : 'before after';
      expect((await ours.reaches(all.length)).toString()).toBe(all);
    },
  );

  it('hands the socket back without losing a byte', async () => {
    const pair = await pairOf();
    const socket = socketOf(pair);
    const got = new Collected();
    const sent = pattern(600_000);
    readInto(socket, {
      ...got.sink,
      data(buffer, end) {
        got.add(buffer.subarray(0, end));
        stopReadInto(socket);
        socket.on('data', (chunk: Buffer) => got.add(chunk));
      },
    });
    socket.resume();
    pair.peer.write(sent);
    expect((await got.reaches(sent.length)).equals(sent)).toBe(true);
  });

  it('takes a socket again that was handed back', async () => {
    const pair = await pairOf();
    const socket = socketOf(pair);
    for (let i = 0; i < 3; i++) {
      const got = new Collected();
      expect(readInto(socket, got.sink)).toBe(true);
      socket.resume();
      pair.peer.write(`round ${i}`);
      expect((await got.reaches(7)).toString()).toBe(`round ${i}`);
      stopReadInto(socket);
    }
  });

  it('refuses a socket that another consumer reads, or that has an encoding', async () => {
    const reads = await pairOf();
    reads.ours.on('data', () => {});
    expect(readInto(socketOf(reads), new Collected().sink)).toBe(false);
    const encoded = await pairOf();
    encoded.ours.setEncoding('utf8');
    expect(readInto(socketOf(encoded), new Collected().sink)).toBe(false);
  });

  it('refuses a socket that is destroyed, and one that is not connected', async () => {
    const pair = await pairOf();
    pair.ours.destroy();
    expect(readInto(socketOf(pair), new Collected().sink)).toBe(false);
    expect(readInto(new net.Socket(), new Collected().sink)).toBe(false);
  });
});

function consume(socket: Socket, how: string, into: Collected): void {
  if (how.startsWith('data')) socket.on('data', (chunk: Buffer) => into.add(chunk));
  else if (how === 'readable') {
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) into.add(chunk);
    });
  } else if (how === 'pipe') socket.pipe(writer(into));
  else void iterate(socket, into);
}

function writer(into: Collected): Duplex {
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      into.add(chunk);
      done();
    },
  });
}

async function iterate(socket: Socket, into: Collected): Promise<void> {
  try {
    for await (const chunk of socket) into.add(chunk as Buffer);
  } catch {
    // The test destroys the socket.
  }
}

describe('readInto', () => {
  it('leaves a socket of the documented option onread alone', async () => {
    const server = net.createServer((socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const got = new Collected();
    const onread = {
      buffer: Buffer.alloc(100),
      callback: (length: number, buffer: Uint8Array) => {
        got.add(buffer.subarray(0, length));
        return true;
      },
    };
    const socket = net.connect({ port, host: '127.0.0.1', onread });
    await once(socket, 'connect');
    expect(readInto(socket, new Collected().sink)).toBe(false);
    expect((await got.reaches(5)).toString()).toBe('hello');
    socket.destroy();
    server.close();
    await once(server, 'close');
  });

  it('refuses TLS over a stream of JavaScript, whose bytes may come at any time', async () => {
    const { ours, peer, dispose } = await duplexPair();
    const { key, cert } = await selfSigned();
    const server = new tls.TLSSocket(ours, {
      isServer: true,
      secureContext: tls.createSecureContext({ key, cert }),
    });
    const client = tls.connect({ socket: peer, ca: cert, servername: 'localhost' });
    await once(client, 'secureConnect');
    expect(readInto(server, new Collected().sink)).toBe(false);
    for (const socket of [client, server]) socket.on('error', () => {}).destroy();
    await dispose();
  });

  it.each(['http', 'https'] as const)(
    'reads the socket of an upgrade of node:%s, and lets the server close',
    async (scheme) => {
      const { key, cert } = await selfSigned();
      const server = scheme === 'http' ? http.createServer() : https.createServer({ key, cert });
      const got = new Collected();
      const direct: boolean[] = [];
      server.on('upgrade', (_request, stream, head) => {
        const socket = stream as Socket;
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
        );
        socket.unshift(head);
        direct.push(readInto(socket, got.sink));
        socket.on('end', () => socket.end());
        socket.resume();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const client =
        scheme === 'http'
          ? net.connect(port, '127.0.0.1')
          : tls.connect({ port, host: '127.0.0.1', ca: cert });
      client.resume();
      const sent = pattern(200_000);
      const request = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';
      client.write(Buffer.concat([Buffer.from(request), sent.subarray(0, 1000)]));
      client.write(sent.subarray(1000));
      expect((await got.reaches(sent.length)).equals(sent)).toBe(true);
      expect(direct).toEqual([true]);
      client.end();
      await once(client, 'close');
      server.close();
      await once(server, 'close');
    },
  );
});
