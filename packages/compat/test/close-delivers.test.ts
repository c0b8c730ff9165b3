// As ws does, a WebSocket that closes emits the messages before the peer's close frame.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as ws from 'ws';
import * as compat from '../src/index.ts';

describe.each([
  ['ws', ws as unknown as typeof compat],
  ['this package', compat],
])('a server of %s that closes under load', (_name, { WebSocket, WebSocketServer }) => {
  it('emits every message that the client has sent before it saw the close', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const got: string[] = [];
    const closed = new Promise<void>((resolve) => {
      server.on('connection', (socket: compat.WebSocket) => {
        socket.on('message', (data: Buffer) => {
          got.push(data.toString());
          if (got.length === 100) socket.close(1001);
        });
        socket.on('close', () => resolve());
      });
    });
    const { port } = server.address() as AddressInfo;
    const client = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(client, 'open');
    let sent = 0;
    while (client.readyState === WebSocket.OPEN) {
      for (let i = 0; i < 20; i++) client.send(`m${sent++}`);
      await wait(1);
    }
    await closed;
    expect(got.length).toBeGreaterThan(99);
    expect(got).toEqual(Array.from({ length: sent }, (_, i) => `m${i}`));
  });
});
