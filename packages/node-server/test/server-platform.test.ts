import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { nodeHost } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { hostOf } from '../src/host.ts';
import { type Conn, serve } from '../src/index.ts';
import { trapLeftovers, trapUncaught } from './raw.ts';

trapUncaught();
trapLeftovers();

describe('the host of a server', () => {
  it('is Node, as it is now', () => {
    const host = hostOf(() => {});
    expect(host.deflate).toBe(nodeHost.deflate);
    expect(host.isUtf8).toBe(nodeHost.isUtf8);
    expect(host.watch!.opened).toBe(nodeHost.watch!.opened);
    expect(host.now()).toBeLessThanOrEqual(nodeHost.now());
  });

  it('tells the server of each end, and the process as ever', async () => {
    const told: unknown[] = [];
    const tell = (event: unknown): void => void told.push((event as { conn: Conn }).conn);
    subscribe('@ws:open', tell);
    subscribe('@ws:close', tell);
    const server = await serve({ host: '127.0.0.1' }, (conn) => conn.receive(() => {}));
    const ws = new WebSocket(server.url);
    await once(ws, 'open');
    const [conn] = server.connections;
    ws.terminate();
    await conn!.closed;
    expect(server.connections.size).toBe(0);
    expect(told).toEqual([conn, conn]);
    unsubscribe('@ws:open', tell);
    unsubscribe('@ws:close', tell);
    await server.close();
  });

  it('lets an idle connection do with one listener for each event of its socket', async () => {
    const server = await serve({ host: '127.0.0.1' }, (conn) => conn.receive(() => {}));
    const ws = new WebSocket(server.url);
    await once(ws, 'open');
    const [conn] = server.connections;
    const socket = conn!.underlyingConn as Socket;
    const counts = ['close', 'data', 'error', 'drain', 'timeout'].map((event) =>
      socket.listenerCount(event),
    );
    expect(counts).toEqual([1, 1, 1, 0, 0]);
    ws.close();
    await server.close();
  });
});
