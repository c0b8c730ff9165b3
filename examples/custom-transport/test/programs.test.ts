import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { encodeFrame, formatCloseMessage, formatSwitching, TextMessage } from '@ws/codec';
import { Conn } from '@ws/conn';
import { socketTransport } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import * as deflate from '../deflate.ts';
import * as endpoint from '../endpoint.ts';
import * as frames from '../frames.ts';
import { request } from '../handshake.ts';
import { Peer } from '../peer.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const MASK = { maskKey: 0x37fa213d };

/** Says hello, and closes after the answer. Resolves with what arrived, after the socket closed. */
type Client = (port: number) => Promise<(string | number)[]>;

const endpointClient: Client = async (port) => {
  const seen: (string | number)[] = [];
  const socket = endpoint.dial(port, 'grüße', (event, self) => {
    if (event.kind === 'text') {
      seen.push(event.text);
      self.close(4000, 'done');
    }
    if (event.kind === 'close') seen.push(event.code);
  });
  await closed(socket);
  return seen;
};

const framesClient: Client = async (port) => {
  const seen: (string | number)[] = [];
  const peer = new Peer('client');
  peer.onMessage = (_type, payload) => {
    seen.push(Buffer.from(payload).toString());
    peer.close(4000, 'done');
  };
  peer.onClose = (code) => void seen.push(code);
  peer.send(TextMessage, Buffer.from('grüße'));
  await closed(frames.dial(port, peer));
  return seen;
};

/** Resolves at the end of a socket, whatever ends it. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

const programs = [
  { name: 'on Endpoint', start: endpoint.serve, client: endpointClient },
  { name: 'on FrameDecoder', start: frames.serve, client: framesClient },
  { name: 'with permessage-deflate', start: deflate.serve, client: endpointClient },
];

describe.each(programs)('the program $name', ({ start, client }) => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  async function listen(origins: readonly string[] = []): Promise<number> {
    server = start(0, origins);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  /** Opens a connection by hand. */
  function open(port: number, lines: readonly string[] = []): Socket {
    const socket = connect(port).on('error', () => {});
    const head = ['GET / HTTP/1.1', `Host: localhost:${port}`, 'Upgrade: websocket'];
    head.push('Connection: Upgrade', `Sec-WebSocket-Key: ${KEY}`, 'Sec-WebSocket-Version: 13');
    socket.write([...head, ...lines, '\r\n'].join('\r\n'));
    return socket;
  }

  /** Everything that the server sends until it ends. */
  async function read(socket: Socket): Promise<Buffer> {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    await closed(socket);
    return Buffer.concat(chunks);
  }

  it('has a client and a server that talk to each other', async () => {
    expect(await client(await listen())).toEqual(['grüße', 4000]);
  });

  it('serves a client of ws', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${await listen()}`);
    await once(socket, 'open');
    const bytes = Buffer.alloc(300_000, 7);
    for (const data of ['a', bytes]) {
      socket.send(data);
      const [answer, isBinary] = (await once(socket, 'message')) as [Buffer, boolean];
      expect(Buffer.compare(answer, Buffer.from(data))).toBe(0);
      expect(isBinary).toBe(typeof data !== 'string');
    }
    socket.ping('p');
    expect(String((await once(socket, 'pong'))[0])).toBe('p');
    socket.close(4001, 'done');
    expect((await once(socket, 'close'))[0]).toBe(4001);
  });

  it('dials a server of ws', async () => {
    const foreign = new WebSocketServer({ port: 0, perMessageDeflate: false });
    foreign.on('connection', (socket) => {
      socket.on('message', (data: Buffer) => socket.send(data.toString()));
    });
    await once(foreign, 'listening');
    expect(await client((foreign.address() as AddressInfo).port)).toEqual(['grüße', 4000]);
    foreign.close();
  });

  it('serves a Conn', async () => {
    const port = await listen();
    const conn = await new Promise<Conn>((resolve) => {
      request(connect(port), 'localhost', (head, socket) => {
        resolve(new Conn(socketTransport(socket, { head }), { role: 'client' }));
      });
    });
    const large = new Uint8Array(500_000).fill(3);
    await conn.writeMessage(2, large);
    expect(Buffer.compare((await conn.readMessage()).data, large)).toBe(0);
    expect(await conn.ping()).toBeGreaterThanOrEqual(0);
    expect(await conn.close(4002)).toMatchObject({ code: 4002, wasClean: true });
  });

  it('dials a Conn', async () => {
    const foreign = await serve({ port: 0 }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    expect(await client(Number(new URL(foreign.url).port))).toEqual(['grüße', 4000]);
    await foreign.close();
  });

  it('reads frames that come with the request, and answers in order', async () => {
    const socket = connect(await listen());
    const head = `GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
    socket.write(
      Buffer.concat([
        Buffer.from(head),
        encodeFrame(1, Buffer.from('hi'), MASK),
        encodeFrame(8, formatCloseMessage(1000), MASK),
      ]),
    );
    const answer = await read(socket);
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer.subarray(answer.indexOf('\r\n\r\n') + 4).toString('hex')).toBe(
      '81026869880203e8',
    );
  });

  it.each<[string, string, RegExp]>([
    ['TLS', '\x16\x03\x01', /^HTTP\/1\.1 400 /],
    ['another protocol', 'SSH-2.0-x\r\n', /^HTTP\/1\.1 400 /],
    ['a plain request', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a large head', `GET / HTTP/1.1\r\nA: ${'x'.repeat(20_000)}`, /^HTTP\/1\.1 431 /],
  ])('refuses %s', async (_, bytes, answer) => {
    const socket = connect(await listen());
    socket.write(Buffer.from(bytes, 'latin1'));
    expect((await read(socket)).toString()).toMatch(answer);
  });

  it('refuses the pages of other origins', async () => {
    const port = await listen(['http://good.example']);
    const foreign = open(port, ['Origin: http://evil.example']);
    expect((await read(foreign)).toString()).toMatch(/^HTTP\/1\.1 403 /);
    const own = open(port, ['Origin: http://good.example']);
    const [answer] = (await once(own, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 /);
    own.destroy();
  });

  it.each<[string, number, Uint8Array]>([
    ['a frame without a mask', 1002, Uint8Array.of(0x81, 0)],
    ['a reserved opcode', 1002, Uint8Array.of(0x83, 0x80)],
    ['a bad text', 1007, encodeFrame(1, Uint8Array.of(0xff), MASK)],
    ['a large frame', 1009, Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0)],
  ])('closes for %s, and serves the next client', async (_, code, bytes) => {
    const port = await listen();
    const socket = open(port);
    socket.write(Buffer.concat([encodeFrame(1, Buffer.from('hi'), MASK), bytes, bytes]));
    const answer = await read(socket);
    const sent = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
    // An Endpoint that a fault has ended sends no echo of the message before it.
    const close = sent[0] === 0x88 ? sent : sent.subarray(4);
    expect([close[0], close.readUInt16BE(2)]).toEqual([0x88, code]);
    expect(await client(port)).toEqual(['grüße', 4000]);
  });

  it('survives a client that resets, and a client that never reads', async () => {
    const port = await listen();
    const resetting = open(port);
    await once(resetting, 'data');
    resetting.resetAndDestroy();
    const unread = open(port);
    await once(unread, 'data');
    unread.pause();
    const frame = encodeFrame(2, new Uint8Array(60_000), MASK);
    const before = process.memoryUsage().arrayBuffers;
    // Our side of the socket fills up when the server no longer reads.
    let written = 0;
    while (unread.write(frame) || (await drained(unread))) written += frame.length;
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 * 2 ** 20);
    expect(written).toBeLessThan(200 * 2 ** 20);
    unread.destroy();
    expect(await client(port)).toEqual(['grüße', 4000]);
  });

  it('has a client that refuses a wrong answer', async () => {
    const wrong = [
      'HTTP/1.1 200 OK\r\n\r\n',
      'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      '\x16\x03\x01',
    ];
    for (const text of wrong) expect(await client(await answering(() => text))).toEqual([]);
  });

  it.each<[string, (answer: string) => string]>([
    ['an extension', (answer) => withLine(answer, 'Sec-WebSocket-Extensions: permessage-deflate')],
    ['a subprotocol', (answer) => withLine(answer, 'Sec-WebSocket-Protocol: chat')],
    ['an accept key twice', (answer) => withLine(answer, 'Sec-WebSocket-Accept: x')],
    ['HTTP/1.0', (answer) => answer.replace('HTTP/1.1', 'HTTP/1.0')],
    ['many interim answers', (answer) => `${'HTTP/1.1 103 \r\n\r\n'.repeat(17)}${answer}`],
    ['103 and then 403', () => 'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n'],
  ])('has a client that refuses an answer with %s', async (_, change) => {
    expect(await client(await answering(change))).toEqual([]);
  });

  it.each<[string, (answer: string) => string]>([
    ['an immediate answer', (answer) => answer],
    ['interim answers', (answer) => `${'HTTP/1.1 103 \r\nLink: x\r\n\r\n'.repeat(16)}${answer}`],
  ])('has a client that connects after %s', async (_, change) => {
    // The server accepts and leaves: the client reports the end.
    expect(await client(await answering(change))).toEqual([1006]);
  });

  it('has a client that reports a reset', async () => {
    const port = await answering((answer) => answer, 'reset');
    expect(await client(port)).toEqual([1006]);
  });

  /** A server that answers one request by `change` of a right answer, and leaves. */
  async function answering(change: (answer: string) => string, end = 'end'): Promise<number> {
    server?.close();
    server = createServer((socket) => {
      socket.once('data', (chunk) => {
        const key = /^sec-websocket-key: (.*)\r$/im.exec(chunk.toString())![1]!;
        const bytes = Buffer.from(change(formatSwitching(key)), 'latin1');
        if (end === 'end') socket.end(bytes);
        // The first message says that the client is open.
        else socket.once('data', () => socket.resetAndDestroy()).write(bytes);
      });
    }).listen(0);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }
});

function withLine(answer: string, line: string): string {
  return answer.replace('Connection: Upgrade', `Connection: Upgrade\r\n${line}`);
}

/** Whether a full socket drains within a moment. */
function drained(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), 500);
    socket.once('drain', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
