import { Dialer } from '@ws/node-client';
import { serveRaw } from '@ws/node-server/raw';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { selfSigned } from '../kit/index.ts';
import { nothingLeft, whenOver } from '../peers/index.ts';

describe.each([false, true])('serveRaw, over TLS: %s', (secure) => {
  nothingLeft();

  async function listen(): Promise<{ url: string; ca: string }> {
    const { key, cert } = await selfSigned();
    const options = { host: '127.0.0.1', compression: true, subprotocols: ['chat'] };
    const server = await serveRaw(
      { ...options, ...(secure && { tls: { key, cert } }) },
      { '/:room': (conn, head, { params }) => conn.send(`${head.method} ${params.room}`) },
    );
    whenOver(() => server.close({ timeout: 1 }));
    return { url: `${server.url}/lobby`, ca: cert };
  }

  it('serves our client', async () => {
    const { url, ca } = await listen();
    const dialer = new Dialer({ tls: { ca }, compression: true, subprotocols: ['x', 'chat'] });
    const conn = await dialer.dial(url);
    expect((await conn.readMessage()).text()).toBe('GET lobby');
    expect(conn.subprotocol).toBe('chat');
    expect(conn.extensions).toMatch(/^permessage-deflate/);
    expect((await conn.close()).wasClean).toBe(true);
  });

  it('serves the client of ws', async () => {
    const { url, ca } = await listen();
    const socket = new WebSocket(url, ['chat'], { ca });
    const message = new Promise((resolve) => {
      socket.on('message', (data: Buffer) => resolve(String(data)));
    });
    expect(await message).toBe('GET lobby');
    expect([socket.protocol, socket.extensions]).toEqual([
      'chat',
      expect.stringMatching(/^permessage-deflate/),
    ]);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.close(1000);
    expect(await closed).toBe(1000);
  });
});
