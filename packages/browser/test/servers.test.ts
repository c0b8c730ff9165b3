// BrowserConn over the WebSockets of undici, which Node 22 has as a global, and of ws, against two servers.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@ws/node-server';
import { WebSocket as UndiciWebSocket } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocketServer, WebSocket as WsWebSocket } from 'ws';
import {
  type BrowserConn,
  dial,
  fromWebSocket,
  TransportError,
  type WebSocketConstructor,
} from '../src/index.ts';
import { rejection } from './support.ts';

/** Starts our server. `close 4001` asks for a close, everything else is echoed. */
async function startOurs(): Promise<string> {
  const server = await serve({ port: 0, host: '127.0.0.1', subprotocols: ['v1'] }, (conn) =>
    conn.receive((message) => {
      const code = message.isText ? /^close (\d+)$/.exec(message.text())?.[1] : undefined;
      if (code === undefined) return conn.send(message);
      if (code === '0') conn.terminate();
      else void conn.close(Number(code), 'bye');
      return undefined;
    }),
  );
  onTestFinished(async () => void (await server.close({ timeout: 100 })));
  return server.url;
}

/** The same with `ws`. */
async function startWs(): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data: Buffer, isBinary) => {
      const code = isBinary ? undefined : /^close (\d+)$/.exec(String(data))?.[1];
      if (code === undefined) socket.send(data, { binary: isBinary });
      else if (code === '0') socket.terminate();
      else socket.close(Number(code), 'bye');
    });
  });
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const CLASSES: [string, WebSocketConstructor][] = [
  ['undici', UndiciWebSocket],
  ['ws', WsWebSocket],
];
const SERVERS: [string, () => Promise<string>][] = [
  ['@ws/node-server', startOurs],
  ['ws', startWs],
];

describe.each(CLASSES)('a BrowserConn over the WebSocket of %s', (_class, WebSocket) => {
  describe.each(SERVERS)('with the server of %s', (_server, start) => {
    const connect = async (): Promise<BrowserConn> => dial(await start(), { WebSocket });

    it('echoes texts and bytes of every size', async () => {
      const conn = await connect();
      for (const size of [0, 1, 125, 126, 65_535, 65_536, 300_000]) {
        const bytes = Uint8Array.from({ length: size }, (_, i) => i);
        await conn.send(bytes);
        const binary = await conn.readMessage();
        expect([binary.isText, Buffer.compare(binary.data, bytes)]).toEqual([false, 0]);
        await conn.send('é'.repeat(size / 2));
        const text = await conn.readMessage();
        expect([text.isText, text.text() === 'é'.repeat(size / 2)]).toEqual([true, true]);
      }
      expect(await conn.close(4000, 'done')).toMatchObject({ code: 4000, wasClean: true });
    });

    it('keeps the order of many messages', async () => {
      const conn = await connect();
      let n = 0;
      const reading = conn.receive((message) => {
        if (message.text() === String(n)) n++;
        return n === 2_000 ? conn.close().then(() => {}) : undefined;
      });
      for (let i = 0; i < 2_000; i++) await conn.send(String(i));
      expect(await reading).toMatchObject({ code: 1000 });
      expect(n).toBe(2_000);
    });

    it('reports closes of the server', async () => {
      for (const code of [1000, 1011, 4001]) {
        const conn = await connect();
        await conn.send(`close ${code}`);
        expect(await conn.closed).toMatchObject({ code, reason: 'bye', wasClean: true });
      }
    });

    it('reports a connection that breaks as 1006', async () => {
      const conn = await connect();
      await conn.send('close 0');
      expect(await rejection(conn.readMessage())).toMatchObject({ closeCode: 1006 });
      expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    });

    it('sends what was written while the socket connects', async () => {
      const conn = fromWebSocket(new WebSocket(await start()));
      await conn.send('early');
      expect((await conn.readMessage()).text()).toBe('early');
      await conn.close();
    });
  });

  it('rejects when nothing listens', async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => conn.discardReads());
    // A connection that the server has ended keeps its port from other processes for a minute.
    const first = await dial(server.url, { WebSocket });
    await server.close();
    await first.closed;
    const error = await rejection(dial(server.url, { WebSocket }));
    expect(error).toBeInstanceOf(TransportError);
  });

  it('rejects when a server answers without an upgrade', async () => {
    const server = createServer((_req, res) => void res.writeHead(404).end());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const error = await rejection(dial(`ws://127.0.0.1:${port}/`, { WebSocket }));
    expect(error).toBeInstanceOf(TransportError);
  });

  it('carries streams, as a net.Conn of Go does', async () => {
    const conn = await dial(await startOurs(), { WebSocket });
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

  it('has the subprotocol of the server', async () => {
    const conn = await dial(await startOurs(), { WebSocket, subprotocols: ['v2', 'v1'] });
    expect(conn.subprotocol).toBe('v1');
    await conn.close();
  });
});
