// The option maxTotalBufferedAmount: many clients that do not read, and others that do.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { Hub } from '@ws/hub';
import { dial, ReconnectingConn } from '@ws/node-client';
import { BackpressureError, broadcast, type Conn, serve } from '@ws/node-server';
import { createProxy } from '@ws/proxy';
import { describe, expect, it, vi } from 'vitest';
import { listening } from '../kit/listening.ts';
import { nothingLeft, upgradeRequest, whenOver } from '../peers/index.ts';

const MIB = 1024 * 1024;
const BOUND = 8 * MIB;

/** A client that never reads. */
async function deaf(port: number): Promise<() => void> {
  const socket = connect(port, '127.0.0.1').pause();
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(upgradeRequest('/ask'));
  return () => void socket.destroy();
}

async function deafClients(port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) whenOver(await deaf(port));
}

const NEWS = Buffer.alloc(16_384);

/** A feed of 1 MiB without `await`. */
function flood(conn: Conn): void {
  for (let i = 0; i < 64; i++) conn.send(NEWS).catch(() => {});
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
    // Up to twice the bound, when the kernel has taken nothing between two of them. See WriteBudget.
    expect(buffered(asked)).toBeLessThanOrEqual(2 * BOUND + 8 * 65_536);
    await expect.poll(() => buffered(asked)).toBeLessThanOrEqual(BOUND);
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
    // At the close, messages that the kernel has not taken yet reject with another error.
    expect(refused.slice(before).every((error) => error instanceof BackpressureError)).toBe(true);
    await conn.close(1000, '', { discard: true });
  });
});

describe('a client that is behind for a moment, beside five that never read', () => {
  nothingLeft();

  /** A server with five clients that hold all of the total, and one that has stopped to read. */
  async function crowd() {
    const attackers: Conn[] = [];
    const victims: Conn[] = [];
    const hub = new Hub();
    const joined = new Promise<void>((resolve) => {
      hub.on('connect', async (session) => {
        await session.join('room');
        resolve();
      });
    });
    const server = await serve(
      { host: '127.0.0.1', maxTotalBufferedAmount: BOUND, heartbeat: false, report: () => {} },
      {
        '/ask': (conn) => void attackers.push(conn),
        '/victim': (conn) => void victims.push(conn),
        '/hub': hub.handler,
      },
    );
    whenOver(() => hub.close({ timeout: 1 }));
    whenOver(() => server.close({ timeout: 1 }));
    await deafClients(Number(new URL(server.url).port), 5);
    await expect.poll(() => attackers.length).toBe(5);
    const feeding = setInterval(() => attackers.forEach(flood), 20);
    whenOver(() => clearInterval(feeding));
    await expect.poll(() => buffered(attackers)).toBeGreaterThan(BOUND);
    return { server, attackers, victims, hub, joined };
  }

  it.each(['send', 'broadcast'])('gets every message of a feed by %s', async (call) => {
    const { server, victims } = await crowd();
    const client = await dial(`${server.url}/victim`, { readAhead: 1 });
    whenOver(() => client.terminate());
    await expect.poll(() => victims.length).toBe(1);
    const [victim] = victims;
    let sent = 0;
    while (victim!.bufferedAmount < 512 * 1024) {
      if (call === 'send') void victim!.send(Buffer.alloc(16_384, sent));
      else broadcast(server.connections, Buffer.alloc(16_384, sent));
      sent++;
      await new Promise(setImmediate);
    }
    expect(victim!.stats).toMatchObject({ messagesOut: sent, messagesRefused: 0 });
    for (let i = 0; i < sent; i++) expect((await client.readMessage()).data[0]).toBe(i & 0xff);
    await client.close(1000, '', { discard: true });
  });

  it('has room again after 5 s: the largest of the others end with 1013', async () => {
    const { attackers } = await crowd();
    const ended = (): Conn[] => attackers.filter(({ state }) => state !== 'open');
    await expect.poll(() => ended().length, { timeout: 30_000 }).toBeGreaterThan(0);
    for (const conn of ended()) {
      expect(await conn.closed).toMatchObject({ code: 1013, error: expect.any(BackpressureError) });
    }
  });

  it('gets every message of a hub', async () => {
    const { server, hub, joined } = await crowd();
    const client = await dial(`${server.url}/hub`);
    whenOver(() => client.terminate());
    await joined;
    for (let i = 0; i < 40; i++) {
      void hub.room('room').publish(Buffer.alloc(400_000, i));
      expect((await client.readMessage()).data[0]).toBe(i);
    }
    await client.close();
  });

  it('gets every message through a proxy', async () => {
    const memory = vi.spyOn(process, 'constrainedMemory').mockReturnValue(8 * BOUND);
    whenOver(() => memory.mockRestore());
    const target = await serve(
      { host: '127.0.0.1', heartbeat: false, report: () => {} },
      {
        '/ask': async (conn) => {
          for (let i = 0; i < 40; i++) await conn.send(Buffer.alloc(400_000, i));
        },
      },
    );
    whenOver(() => target.close({ timeout: 1 }));
    const proxy = createProxy(target.url, { mode: 'messages', report: () => {} });
    const front = createServer();
    front.on('upgrade', (req, socket, head) => void proxy.upgrade(req, socket, head));
    const port = await listening(front);
    whenOver(async () => {
      await proxy.close({ timeout: 1 });
      front.close();
    });
    await deafClients(port, 20);
    const client = await dial(`ws://127.0.0.1:${port}/ask`);
    for (let i = 0; i < 40; i++) expect((await client.readMessage()).data[0]).toBe(i);
    await client.close();
  });
});
