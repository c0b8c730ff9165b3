// The option maxTotalBufferedAmount: many clients that do not read, and others that do.

import { once } from 'node:events';
import { connect } from 'node:net';
import { dial, ReconnectingConn } from '@ws/node-client';
import { BackpressureError, broadcast, type Conn, serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../peers/index.ts';

const MIB = 1024 * 1024;
const BOUND = 8 * MIB;
const HANDSHAKE = [
  'GET /ask HTTP/1.1',
  'Host: 127.0.0.1',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

/** A client that never reads. */
async function deaf(port: number): Promise<() => void> {
  const socket = connect(port, '127.0.0.1').pause();
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(HANDSHAKE);
  return () => void socket.destroy();
}

const buffered = (conns: Iterable<Conn>): number =>
  [...conns].reduce((sum, conn) => sum + conn.bufferedAmount, 0);

describe.each([false, true])('maxTotalBufferedAmount, compressed: %s', (compression) => {
  nothingLeft();

  it('bounds what waits for clients that do not read, and serves the others', async () => {
    const refused: unknown[] = [];
    const asked: Conn[] = [];
    const server = await serve(
      { host: '127.0.0.1', maxTotalBufferedAmount: BOUND, compression, report: () => {} },
      {
        '/ask': (conn) => {
          asked.push(conn);
          for (let i = 0; i < 960; i++) {
            conn.send(Buffer.alloc(16_384, i)).catch((error: unknown) => refused.push(error));
          }
        },
        '/echo': (conn) => conn.receive((message) => conn.send(message)),
      },
    );
    whenOver(() => server.close({ timeout: 1 }));
    const { port } = new URL(server.url);
    const echo = new ReconnectingConn(`${server.url}/echo`, { compression, minDelay: 1 });
    whenOver(() => echo.close());
    const deafOnes: (() => void)[] = [];
    for (let i = 0; i < 8; i++) deafOnes.push(await deaf(Number(port)));
    whenOver(() => {
      for (const end of deafOnes) end();
    });
    await expect.poll(() => asked.length).toBe(8);
    await expect.poll(() => refused.length).toBeGreaterThan(0);
    expect(buffered(asked)).toBeLessThanOrEqual(BOUND + 8 * 65_536);
    expect(refused[0]).toBeInstanceOf(BackpressureError);
    expect((refused[0] as Error).message).toContain(`maxTotalBufferedAmount (${BOUND})`);
    expect(asked.some((conn) => conn.stats.messagesRefused > 0)).toBe(true);
    // One that reads gets everything, also after its connection was replaced.
    let got = 0;
    void echo.receive((message) => {
      got += message.length;
    });
    for (const cut of [false, true]) {
      const others = (): Conn[] => [...server.connections].filter((conn) => !asked.includes(conn));
      await expect.poll(() => others().length).toBe(1);
      const [first] = others();
      if (cut) first!.terminate();
      await expect
        .poll(() => others()[0] !== undefined && (others()[0] === first) !== cut)
        .toBe(true);
      got = 0;
      for (let i = 1; i <= 20; i++) {
        await echo.send(Buffer.alloc(200_000, i));
        await expect.poll(() => got).toBe(i * 200_000);
      }
    }
    // A broadcast skips the others.
    const accepted = broadcast(server.connections, Buffer.alloc(16_384));
    expect(accepted).toBeGreaterThan(0);
    // What has gone no longer counts.
    for (const end of deafOnes) end();
    await expect.poll(() => asked.every((conn) => conn.state === 'closed')).toBe(true);
    const conn = await dial(`${server.url}/ask`, { compression });
    const before = refused.length;
    for (let i = 0; i < 200; i++) expect((await conn.readMessage()).data.length).toBe(16_384);
    await conn.close(1000, '', { discard: true });
    expect(refused.slice(before).every((error) => error instanceof BackpressureError)).toBe(true);
  });
});
