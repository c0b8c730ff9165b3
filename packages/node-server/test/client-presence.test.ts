import { EventEmitter, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { turn } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type AdmitOrRefuse,
  type Conn,
  TransportError,
  Upgrader,
  type UpgraderOptions,
} from '../src/index.ts';
import { masked, parseAnswer, RawPeer, request, TestServer, trapLeftovers } from './raw.ts';

trapLeftovers();

async function listening(
  listener: ConstructorParameters<typeof TestServer>[0],
): Promise<TestServer> {
  const server = await new TestServer(listener).listen();
  onTestFinished(async () => void (await server.close()));
  return server;
}

/** A client that may half-close. */
async function connected(server: TestServer): Promise<RawPeer> {
  const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  onTestFinished(() => void socket.destroy());
  return new RawPeer(socket);
}

const frames = (bytes: number): Buffer =>
  Buffer.concat(Array.from({ length: Math.ceil(bytes / 100) }, () => masked(1, 'x'.repeat(94))));

describe('a client that disconnects after early frames', () => {
  it.each([
    { says: 'by a FIN after a frame', early: 100, leave: (s: net.Socket) => s.destroy() },
    { says: 'by half a FIN after a frame', early: 100, leave: (s: net.Socket) => s.end() },
    {
      says: 'by a reset after a frame',
      early: 100,
      leave: (s: net.Socket) => s.resetAndDestroy(),
    },
  ])(
    '$says aborts the signal, and its place is free for an application that settles',
    async ({ early, leave }) => {
      const asked = new EventEmitter();
      const upgrader = new Upgrader({
        maxHandshakes: 1,
        handshakeTimeout: false,
        authenticate: (_req, { signal }) => {
          asked.emit('asked', signal);
          return new Promise<never>((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          });
        },
      });
      const server = await listening(upgrader);
      const client = await connected(server);
      const waits = once(asked, 'asked') as Promise<[AbortSignal]>;
      client.stream.write(request({ behind: frames(early) }));
      const [signal] = await waits;
      const aborted = once(signal, 'abort');
      leave(client.stream);
      await aborted;
      const outcome = await server.outcome();
      const again = once(asked, 'asked');
      const next = await connected(server);
      next.stream.write(request());
      await again;
      expect(outcome).toBeInstanceOf(TransportError);
      expect(signal.reason).toBe(outcome);
    },
  );

  it('is noticed while it waits for an unanswered request', async () => {
    const upgrader = new Upgrader({ handshakeTimeout: false });
    const server = await new TestServer(upgrader, () => {}).listen();
    onTestFinished(async () => void (await server.close()));
    const client = await connected(server);
    const upgrade = once(server.http, 'upgrade');
    const plain = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    client.stream.write(Buffer.concat([plain, request({ behind: frames(100) })]));
    await upgrade;
    client.stream.resetAndDestroy();
    expect(await server.outcome()).toBeInstanceOf(TransportError);
  });

  it('loses no early byte', async () => {
    const asked = new EventEmitter();
    const authenticate = (): Promise<true> =>
      new Promise((resolve) => asked.emit('asked', () => resolve(true)));
    const server = await listening(new Upgrader({ authenticate, readLimit: false }));
    const client = await connected(server);
    const waits = once(asked, 'asked') as Promise<[() => void]>;
    const sent = Array.from({ length: 600 }, (_, i) => `${i} ${'x'.repeat(90)}`);
    client.stream.write(request({ behind: Buffer.concat(sent.map((text) => masked(1, text))) }));
    const [allow] = await waits;
    // Long enough for all kept bytes to arrive.
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    allow();
    const conn = (await server.outcome()) as Conn;
    for (const text of sent) expect((await conn.readMessage()).text()).toBe(text);
    conn.terminate();
    await conn.closed;
  });
});

describe('a client that sends more than is kept before the answer', () => {
  it.each<{ says: string; options: UpgraderOptions<AdmitOrRefuse>; status: number }>([
    { says: 'authenticate waits', options: {}, status: 400 },
    {
      says: 'authenticate waits, with the option error',
      options: { error: () => undefined },
      status: 400,
    },
  ])('is refused at once, and its end is seen: $says', async ({ options, status }) => {
    const upgrader = new Upgrader({
      maxHandshakes: 1,
      handshakeTimeout: false,
      authenticate: (_req, { signal }) =>
        new Promise<never>((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        ),
      ...options,
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    client.stream.end(request({ behind: frames(300_000) }));
    await client.closed;
    expect(parseAnswer(client.received.toString()).status).toBe(status);
    expect(await server.outcome()).toMatchObject({ status });
  });

  it('is refused after the answers to its earlier requests', async () => {
    let answer: () => void = () => {};
    const asked = new EventEmitter();
    const server = await new TestServer(new Upgrader(), (_req, res) => {
      answer = () => res.end('first');
      asked.emit('request');
    }).listen();
    onTestFinished(async () => void (await server.close()));
    const client = await connected(server);
    const first = once(asked, 'request');
    client.stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await first;
    const upgrade = once(server.http, 'upgrade') as Promise<[unknown, net.Socket]>;
    client.stream.end(request({ behind: frames(300_000) }));
    const [, socket] = await upgrade;
    while (socket.bytesRead < 70_000) await turn();
    answer();
    await client.closed;
    const answers = client.received.toString();
    expect(answers).toMatch(/^HTTP\/1\.1 200 [^]*first[^]*HTTP\/1\.1 400 /);
    expect(await server.outcome()).toMatchObject({
      status: 400,
      message: 'websocket: 400: the client sent more than 65536 bytes before the answer',
    });
  });
});

describe('a client that has half-closed', () => {
  const later = async <T>({ socket }: IncomingMessage, value: T): Promise<T> => {
    await once(socket, 'end');
    return value;
  };

  it.each<{ says: string; options: UpgraderOptions<AdmitOrRefuse>; key?: boolean; status: number }>(
    // biome-ignore format: a table
    [
      { says: 'a bad key after checkOrigin', key: false, options: { checkOrigin: (req) => later(req, true) }, status: 400 },
      { says: 'its origin', options: { checkOrigin: (req) => later(req, false) }, status: 403 },
      { says: 'authenticate', options: { authenticate: (req) => later(req, { refuse: 401 }) }, status: 401 },
      { says: 'nothing else', options: { authenticate: (req) => later(req, true) }, status: 400 },
      { says: 'a check that never ends', options: { authenticate: () => new Promise<never>(() => {}) }, status: 400 },
    ],
  )('still receives a refusal: $says', async ({ options, key = true, status }) => {
    const server = await listening(new Upgrader(options));
    const client = await connected(server);
    client.stream.end(request({ without: key ? [] : ['sec-websocket-key'] }));
    await client.closed;
    const answer = parseAnswer(client.received.toString());
    expect(answer.status).toBe(status);
    expect(answer.headers.get('connection')).toBe('close');
  });

  it('gets the answers to its earlier requests', async () => {
    // An answer before the end of the client would let the upgrade succeed.
    const server = await new TestServer(new Upgrader(), ({ socket }, res) => {
      socket.once('end', () => setImmediate(() => res.end('first')));
    }).listen();
    onTestFinished(async () => void (await server.close()));
    const client = await connected(server);
    const plain = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    client.stream.end(Buffer.concat([plain, request()]));
    await client.closed;
    expect(client.received.toString()).toMatch(/first[^]* 400 /);
    expect(await server.outcome()).toBeInstanceOf(TransportError);
  });
});

describe('Upgrader.upgrade', () => {
  const upgrading = (
    upgrader: Upgrader,
    before: (req: IncomingMessage, socket: Duplex) => unknown,
    withHead = true,
  ): Promise<TestServer> => {
    const upgrade = async (req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
      const server = await made;
      await before(req, socket);
      const args = [req, socket, ...(withHead ? [head] : [])] as [IncomingMessage, Duplex, Buffer];
      await upgrader.upgrade(...args).then(
        (conn) => server.settled(conn),
        (error: unknown) => server.settled(error),
      );
    };
    const made = listening((...args: Parameters<typeof upgrade>) => void upgrade(...args));
    return made;
  };

  it.each([
    { says: 'destroyed', before: (_req: IncomingMessage, socket: Duplex) => void socket.destroy() },
    {
      says: 'at its end',
      before: async (_req: IncomingMessage, socket: Duplex) => {
        socket.resume();
        await once(socket, 'end');
      },
    },
  ])('calls no function for a socket that is $says', async ({ before }) => {
    const asked: string[] = [];
    const upgrader = new Upgrader({
      checkOrigin: () => asked.push('origin') > 0,
      authenticate: () => void asked.push('user'),
    });
    const server = await upgrading(upgrader, before);
    const client = await connected(server);
    client.stream.end(request());
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    expect(asked).toEqual([]);
    await client.closed;
  });

  it('drops the socket when it is called without head', async () => {
    const server = await upgrading(new Upgrader(), () => {}, false);
    const client = await connected(server);
    client.stream.write(request());
    const outcome = await server.outcome();
    expect(outcome).toBeInstanceOf(TypeError);
    expect(String(outcome)).toContain('head');
    client.stream.end();
    await client.closed;
    expect(client.received.length).toBe(0);
  });
});
