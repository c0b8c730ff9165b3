import { once } from 'node:events';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { Mode } from '../src/index.ts';
import { front } from './support.ts';

async function echoServer(options = {}): Promise<string> {
  const server = await serve({ port: 0, host: '127.0.0.1', readLimit: false, ...options }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  whenOver(() => server.close({ timeout: 1 }));
  return server.url;
}

describe.each(['frames', 'bytes', 'messages'] satisfies Mode[])('createProxy, mode %s', (mode) => {
  nothingLeft();

  it('passes texts, bytes and large messages between our client and our server', async () => {
    const { url, next } = await front(await echoServer(), { mode });
    const conn = await dial(url);
    const proxied = await next();
    for (const text of ['', 'grüße 🌍']) {
      await conn.send(text);
      expect((await conn.readMessage()).text()).toBe(text);
    }
    for (const length of [1, 125, 126, 65_535, 65_536, 300_000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) % 251);
      const sent = conn.send(bytes);
      const { data } = await conn.readMessage();
      await sent;
      expect(Buffer.compare(data, bytes), `${length} bytes`).toBe(0);
    }
    expect(await conn.ping()).toBeGreaterThan(0);
    expect(await conn.close(1000, 'bye')).toMatchObject({ code: 1000, wasClean: true });
    const info = await proxied.closed;
    expect(info).toMatchObject({
      status: 101,
      endedBy: mode === 'bytes' ? expect.anything() : 'client',
    });
    if (mode !== 'bytes') expect(info).toMatchObject({ code: 1000, reason: 'bye' });
  });

  it('passes compressed messages between ws and ws', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
    await once(server, 'listening');
    whenOver(() => server.close());
    server.on('connection', (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    const { port } = server.address() as { port: number };
    const compression = mode === 'messages' ? ({ compression: true } as const) : {};
    const { url } = await front(`ws://127.0.0.1:${port}`, { mode, ...compression });
    const socket = new WebSocket(url, ['chat'], { perMessageDeflate: { threshold: 1 } });
    await once(socket, 'open');
    expect(socket.extensions).toContain('permessage-deflate');
    socket.send('x'.repeat(100_000));
    const [answer] = await once(socket, 'message');
    expect(String(answer)).toBe('x'.repeat(100_000));
    socket.close(4001, 'done');
    expect((await once(socket, 'close'))[0]).toBe(4001);
  });
});
