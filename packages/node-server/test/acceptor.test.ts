import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { platformOfServer } from '../src/acceptor.ts';
import { type Conn, serve } from '../src/index.ts';
import { trapLeftovers } from './raw.ts';

trapLeftovers();

describe('platformOfServer', () => {
  it('inherits from nodePlatform', () => {
    const platform = platformOfServer(() => {}, Infinity);
    expect(platform.deflate).toBe(nodePlatform.deflate);
    expect(platform.isUtf8).toBe(nodePlatform.isUtf8);
    expect(platform.observer!.opened).toBe(nodePlatform.observer!.opened);
    expect(platform.now()).toBeLessThanOrEqual(nodePlatform.now());
  });

  it('reports each close to the server and to the process', async () => {
    const seen: Conn[] = [];
    const see = (event: unknown): void => void seen.push((event as { conn: Conn }).conn);
    subscribe('@ws:open', see);
    subscribe('@ws:close', see);
    const server = await serve({ host: '127.0.0.1' }, (conn) => conn.receive(() => {}));
    const ws = new WebSocket(server.url);
    await once(ws, 'open');
    const [conn] = server.connections;
    ws.terminate();
    await conn!.closed;
    expect(server.connections.size).toBe(0);
    // Connections of the test files before may end meanwhile.
    expect(seen.filter((each) => each === conn)).toHaveLength(2);
    unsubscribe('@ws:open', see);
    unsubscribe('@ws:close', see);
    await server.close();
  });

  it('leaves an idle connection one listener for each event of its socket', async () => {
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
