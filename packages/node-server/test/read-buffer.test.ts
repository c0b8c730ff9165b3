import https from 'node:https';
import type { Socket } from 'node:net';
import { prepareReadBuffer } from '@ws/node-io/internal';
import { selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { readsIntoBuffer } from '../../node-io/src/read-buffer.ts';
import { type Conn, serve, Upgrader } from '../src/index.ts';
import { serveRaw } from '../src/raw/index.ts';
import { trapLeftovers } from './raw.ts';

trapLeftovers();

/** Connects with ws, exchanges a message, and returns which way the server's socket reads. */
async function wayOf(url: string, conns: Conn[]): Promise<boolean> {
  const client = new WebSocket(url, { rejectUnauthorized: false });
  const answered = new Promise((resolve) => client.on('message', resolve));
  client.on('open', () => client.send('hello'));
  expect(String(await answered)).toBe('hello');
  const way = readsIntoBuffer(conns.at(-1)!.underlyingConn as Socket);
  const closed = new Promise((resolve) => client.on('close', resolve));
  client.close();
  await closed;
  return way;
}

describe.each([
  { readBuffer: true, expected: true },
  { readBuffer: false, expected: false },
])('the option readBuffer: $readBuffer', ({ readBuffer, expected }) => {
  const conns: Conn[] = [];
  const echo = (conn: Conn): unknown => {
    conns.push(conn);
    return conn.receive((message) => conn.send(message));
  };
  const options = { host: '127.0.0.1', readBuffer };

  it('decides for serve', async () => {
    await using server = await serve(options, echo);
    expect(await wayOf(server.url, conns)).toBe(expected);
  });

  it('decides for serve over TLS', async () => {
    const { key, cert } = await selfSigned();
    await using server = await serve({ ...options, tls: { key, cert } }, echo);
    expect(await wayOf(server.url, conns)).toBe(expected);
  });

  it('decides for serveRaw', async () => {
    await using server = await serveRaw(options, echo);
    expect(await wayOf(server.url, conns)).toBe(expected);
  });

  it('decides for an Upgrader on node:https', async () => {
    await prepareReadBuffer();
    const { key, cert } = await selfSigned();
    const http = https.createServer({ key, cert });
    const upgrader = new Upgrader({ readBuffer });
    http.on('upgrade', upgrader.handler(echo));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as { port: number };
    expect(await wayOf(`wss://127.0.0.1:${port}`, conns)).toBe(expected);
    await upgrader.close();
    await new Promise((resolve) => http.close(resolve));
  });
});

it('refuses a readBuffer that is not a boolean', async () => {
  const options = { readBuffer: 4096 as unknown as boolean };
  await expect(serve(options, () => {})).rejects.toThrow(
    new TypeError('readBuffer: expected true or false, got 4096'),
  );
});
