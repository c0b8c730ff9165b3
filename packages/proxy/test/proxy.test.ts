import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { nothingLeft, rawClient, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createProxy, type Mode } from '../src/index.ts';
import { front } from './support.ts';

async function echoServer(options = {}): Promise<string> {
  const server = await serve({ port: 0, host: '127.0.0.1', readLimit: false, ...options }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  whenOver(() => server.close({ timeout: 1 }));
  return server.url;
}

describe('Proxy.handler', () => {
  nothingLeft();

  it('takes WebSockets, and gives other upgrades to the listeners for requests', async () => {
    const proxy = createProxy(await echoServer());
    const server = createServer((_req, res) => void res.writeHead(203).end());
    server.on('upgrade', proxy.handler).listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(async () => {
      await proxy.close({ timeout: 1 });
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const conn = await dial(`ws://127.0.0.1:${port}`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(await conn.close()).toMatchObject({ wasClean: true });
    const client = await rawClient(port);
    expect(await client.upgrade({ set: ['Upgrade: h2c'] })).toMatchObject({ status: 203 });
    client.destroy();
    await client.closed;
  });
});

describe('Proxy.upgrade', () => {
  nothingLeft();

  it('reports a second call for one socket, and the first connection continues', async () => {
    const { proxy, server, url, reported, next } = await front(await echoServer());
    const upgrade = once(server, 'upgrade');
    const dialed = dial(url);
    const [req, socket, head] = (await upgrade) as Parameters<typeof proxy.upgrade>;
    const second = await proxy.upgrade(req, socket, head);
    expect(await second.closed).toMatchObject({ status: 0, endedBy: 'proxy' });
    expect(reported).toHaveLength(1);
    const conn = await dialed;
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
    expect(await (await next()).closed).toMatchObject({ status: 101 });
  });
});

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
