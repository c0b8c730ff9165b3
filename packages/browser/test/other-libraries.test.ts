// What the tests of Go's WebSocket libraries for pages assert, retold: coder/websocket's
// ws_js_test.go, and gopherjs/websocket's websocket_test.go and websocketjs_test.go.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@ws/node-server';
import { WebSocket as UndiciWebSocket } from 'undici';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  BinaryMessage,
  type BrowserConn,
  dial,
  fromWebSocket,
  isCloseError,
  ReadLimitError,
  TextMessage,
  TransportError,
  UnsupportedError,
} from '../src/index.ts';
import { bytes, FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { connected, isPending, rejection, stubReportError } from './support.ts';

const WebSocket = UndiciWebSocket;

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Starts a server with the routes of gopherjs's tests: each closes at its end. */
async function start(): Promise<string> {
  const server = await serve(
    { port: 0, host: '127.0.0.1', subprotocols: ['echo'], readLimit: 2 ** 20 },
    {
      '/echo': (conn) => conn.receive((message) => conn.send(message)),
      '/immediate-close': (conn) => conn.close(1000, 'bye'),
      '/binary-static': async (conn) => {
        await conn.send(Uint8Array.of(0, 1, 2, 3, 4));
        await conn.closed;
      },
      '/text-static': async (conn) => {
        await conn.send('0 1 2 3 4');
        await conn.closed;
      },
      '/multi-static': async (conn) => {
        await conn.send(Uint8Array.of(0, 1));
        await conn.send('2 3');
        await conn.send(Uint8Array.of(4));
        await conn.closed;
      },
    },
  );
  onTestFinished(async () => void (await server.close({ timeout: 100 })));
  return server.url.replace(/\/$/, '');
}

async function connect(path: string): Promise<BrowserConn> {
  const conn = await dial((await start()) + path, { WebSocket });
  onTestFinished(() => conn.terminate());
  return conn;
}

describe('coder/websocket, ws_js_test.go', () => {
  it('has the subprotocol, echoes JSON and texts, and closes with a reason', async () => {
    const conn = await dial(`${await start()}/echo`, { WebSocket, subprotocols: ['echo'] });
    expect(conn.subprotocol).toBe('echo');
    await conn.writeJSON({ hello: ['world', 1] });
    expect(await conn.readJSON({ timeout: 5000 })).toEqual({ hello: ['world', 1] });
    const random = 'é'.repeat(16 * 1024);
    await conn.send(random);
    expect((await conn.readMessage()).text()).toBe(random);
    expect(await conn.close(1000, 'bye')).toMatchObject({ code: 1000, wasClean: true });
    expect(await conn.close()).toMatchObject({ code: 1000 });
  });

  it('fails a dial of a server that answers without an upgrade', async () => {
    const server = createServer((_req, res) => void res.writeHead(404).end());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const failed = rejection(dial(`ws://127.0.0.1:${port}/`, { WebSocket }));
    expect(await failed).toBeInstanceOf(TransportError);
  });

  it('cancels a dial with its context, and closes the socket', async () => {
    const sockets = socketClass();
    const stop = new AbortController();
    const failed = rejection(dial('ws://h', { WebSocket: sockets.WebSocket, signal: stop.signal }));
    stop.abort(new Error('context canceled'));
    expect((await failed).message).toBe('context canceled');
    expect(sockets.sockets[0]!.readyState).toBeGreaterThan(1);
  });

  it('ends the connection over the read limit, and names it', async () => {
    const { conn, socket } = connected({ readLimit: 32 * 1024 });
    socket.message('x'.repeat(32 * 1024));
    socket.message('x'.repeat(32 * 1024 + 1));
    expect((await conn.readMessage()).data.length).toBe(32 * 1024);
    const error = await rejection(conn.readMessage());
    expect(error).toBeInstanceOf(ReadLimitError);
    expect(error.message).toContain('32768');
    // coder sends 1009, which browsers refuse.
    expect(socket.closes).toEqual([[3009, undefined]]);
  });

  it('reads what came before the close frame, then its code', async () => {
    const { conn, socket } = connected();
    socket.message('last');
    socket.end(1001, 'going away');
    expect((await conn.readMessage()).text()).toBe('last');
    const error = await rejection(conn.readMessage());
    expect([isCloseError(error, 1001), isCloseError(error, 1000)]).toEqual([true, false]);
  });

  it('keeps a read that timed out from losing the connection', async () => {
    const { conn, socket } = connected();
    expect(await rejection(conn.readMessage({ timeout: 1 }))).toMatchObject({ permanent: false });
    socket.message('after');
    expect((await conn.readMessage()).text()).toBe('after');
    expect(conn.state).toBe('open');
  });
});

describe('gopherjs/websocket, websocket_test.go', () => {
  it('fails to dial a bad address and a closed port', async () => {
    expect(await rejection(dial('ws://127.0.0.1:65536/', { WebSocket }))).toBeInstanceOf(
      SyntaxError,
    );
    const server = await serve({ port: 0, host: '127.0.0.1' }, () => {});
    await server.close();
    expect(await rejection(dial(server.url, { WebSocket }))).toBeInstanceOf(TransportError);
  });

  it('ends a read when the server closes at once', async () => {
    const conn = await connect('/immediate-close');
    expect(await rejection(conn.readMessage())).toMatchObject({ closeCode: 1000, reason: 'bye' });
  });

  it.each([
    ['/binary-static', BinaryMessage, [0, 1, 2, 3, 4]],
    ['/text-static', TextMessage, [...Buffer.from('0 1 2 3 4')]],
  ])('reads %s by readMessage and by a stream, with its type', async (path, type, expected) => {
    const whole = await (await connect(path)).readMessage();
    expect([whole.type, [...whole.data]]).toEqual([type, expected]);
    const reader = await (await connect(path)).nextReader();
    const into = new Uint8Array(3);
    const parts: number[] = [];
    for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
      parts.push(...into.subarray(0, n));
    }
    expect([reader.type, parts]).toEqual([type, expected]);
  });

  it('reads several messages in order, each with its type', async () => {
    const conn = await connect('/multi-static');
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const message = await conn.readMessage();
      seen.push(message.isText ? message.text() : [...message.data]);
    }
    expect(seen).toEqual([[0, 1], '2 3', [4]]);
  });

  it('fails a pending read at its deadline, and the next read too', async () => {
    vi.useFakeTimers();
    const { conn } = connected();
    const reading = rejection(conn.readMessage());
    conn.setReadDeadline(new Date(Date.now() + 500));
    await vi.advanceTimersByTimeAsync(500);
    expect(await reading).toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    const later = rejection(conn.readMessage());
    await vi.advanceTimersByTimeAsync(1);
    expect(await later).toMatchObject({ code: 'WS_ERR_TIMEOUT' });
  });

  it('round-trips bytes through streams, as a net.Conn does', async () => {
    const conn = await connect('/echo');
    const { readable, writable } = conn.toStreams();
    const [reader, writer] = [readable.getReader(), writable.getWriter()];
    for (const data of [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4)]) {
      await writer.write(data);
      expect((await reader.read()).value).toEqual(data);
    }
    await writer.close();
    expect((await reader.read()).done).toBe(true);
    expect(await conn.closed).toMatchObject({ code: 1000 });
  });

  it('has no addresses: it says so instead of a made-up one', () => {
    const { conn } = connected();
    for (const address of ['localAddr', 'remoteAddr'] as const) {
      expect(() => conn[address]).toThrow(UnsupportedError);
    }
  });
});

describe('gopherjs/websocket, websocketjs_test.go', () => {
  it('rejects a URL that is no URL with a SyntaxError, before a socket exists', async () => {
    const sockets = socketClass();
    expect(
      await rejection(dial('blah://blah.example/invalid', { WebSocket: sockets.WebSocket })),
    ).toBeInstanceOf(SyntaxError);
    expect(sockets.sockets).toEqual([]);
  });

  it('closes before the socket is open, and reports the end once', async () => {
    const socket = new FakeWebSocket();
    const conn = fromWebSocket(socket);
    const closing = conn.close();
    expect([conn.state, socket.closes]).toEqual(['closing', [[1000, '']]]);
    socket.end(1006);
    expect(await closing).toMatchObject({ code: 1006, wasClean: false });
    expect(conn.state).toBe('closed');
  });

  it('opens, closes, and reports each event once', async () => {
    const sockets = socketClass();
    const dialing = dial('ws://h', { WebSocket: sockets.WebSocket });
    expect(await isPending(dialing)).toBe(true);
    const [socket] = sockets.sockets;
    socket!.open();
    const conn = await dialing;
    const ends: number[] = [];
    void conn.closed.then(({ code }) => ends.push(code));
    void conn.close();
    socket!.end(1000);
    socket!.end(1000);
    await conn.closed;
    expect(ends).toEqual([1000]);
  });

  it('sends text and binary as they are', async () => {
    const conn = await connect('/echo');
    await conn.send('text');
    await conn.send(bytes(0, 255));
    const [text, binary] = [await conn.readMessage(), await conn.readMessage()];
    expect([text.type, text.text()]).toEqual([TextMessage, 'text']);
    expect([binary.type, [...binary.data]]).toEqual([BinaryMessage, [0, 255]]);
  });

  it('rejects handlers that a page cannot have, and keeps the connection', () => {
    stubReportError();
    const { conn } = connected();
    expect(() => conn.setPingHandler(() => {})).toThrow(UnsupportedError);
    expect(() => conn.setCloseHandler(() => {})).toThrow(UnsupportedError);
    expect(conn.state).toBe('open');
  });
});
