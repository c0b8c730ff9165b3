import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { BinaryMessage, type ClientConn, Dialer, TextMessage } from '../src/index.ts';
import { certificate } from './servers.ts';

const SIZES = [0, 1, 125, 126, 65_535, 65_536, 1024 * 1024, 16 * 1024 * 1024];

interface Peer {
  readonly url: string;
  readonly dialer: Dialer;
}

/**
 * A server of `ws`, over TCP or TLS, that runs a function for every connection.
 *
 * @param together - What it writes at once leaves in the same segment as the 101.
 */
async function wsServer(
  secure: boolean,
  onSocket: (socket: WebSocket) => void,
  together = false,
): Promise<Peer> {
  const { key, cert } = await certificate();
  const options = {
    maxPayload: 0,
    handleProtocols: (offered: Set<string>) => [...offered].at(-1)!,
  };
  const https = secure ? createServer({ key, cert }).listen(0, '127.0.0.1') : undefined;
  const server = https
    ? new WebSocketServer({ ...options, server: https })
    : new WebSocketServer({ ...options, host: '127.0.0.1', port: 0 });
  if (together) server.on('headers', (_headers, request) => request.socket.cork());
  server.on('connection', (socket, request) => {
    socket.on('error', () => {});
    onSocket(socket);
    if (together) request.socket.uncork();
  });
  await once(https ?? server, 'listening');
  onTestFinished(async () => {
    for (const socket of server.clients) socket.terminate();
    await new Promise((resolve) => void server.close(resolve));
    if (https) await new Promise((resolve) => https.close(resolve));
  });
  const { port } = (https ?? server).address() as AddressInfo;
  return {
    url: `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}/`,
    dialer: new Dialer({ tls: { ca: cert }, readLimit: false }),
  };
}

async function open({ url, dialer }: Peer, subprotocols: string[] = []): Promise<ClientConn> {
  const dialed = await dialer.dial(url, { subprotocols });
  onTestFinished(() => dialed.terminate());
  return dialed;
}

/** Bytes in which a misplaced byte is visible. */
function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8)) & 0xff;
  return bytes;
}

function echo(socket: WebSocket): void {
  socket.on('message', (data: RawData, binary: boolean) => socket.send(data, { binary }));
}

describe.each([
  ['TCP', false],
  ['TLS', true],
])('a dial to a server of ws over %s', (_, secure) => {
  it('agrees on a subprotocol', async () => {
    const conn = await open(await wsServer(secure, echo), ['a', 'b']);
    expect(conn.subprotocol).toBe('b');
  });

  it('echoes text and bytes of every length', async () => {
    const conn = await open(await wsServer(secure, echo));
    for (const size of SIZES) {
      const bytes = pattern(size);
      await conn.send(bytes);
      const binary = await conn.readMessage();
      expect(binary.type).toBe(BinaryMessage);
      expect(Buffer.compare(binary.data, bytes)).toBe(0);
      const words = 'é'.repeat(size / 2);
      await conn.send(words);
      const text = await conn.readMessage();
      expect(text.type).toBe(TextMessage);
      expect(text.text() === words).toBe(true);
    }
  });

  it('reads what the server sent in its connection handler', async () => {
    const peer = await wsServer(secure, (socket) => {
      socket.send('first');
      socket.send(Buffer.from([1, 2, 3]));
      socket.ping('are you there');
      socket.close(4000, 'bye');
    });
    const conn = await open(peer);
    const text = await conn.readMessage();
    const bytes = await conn.readMessage();
    expect(text.text()).toBe('first');
    expect([...bytes.data]).toEqual([1, 2, 3]);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4000, reason: 'bye' });
    expect(await conn.closed).toMatchObject({ code: 4000, reason: 'bye', wasClean: true });
  });

  it('reads a fragmented message', async () => {
    const peer = await wsServer(secure, (socket) => {
      socket.send('a', { fin: false });
      socket.send('b', { fin: false });
      socket.ping();
      socket.send('c', { fin: true });
    });
    const conn = await open(peer);
    const message = await conn.readMessage();
    expect(message.text()).toBe('abc');
  });

  it('sees a ping and a close frame that came with the 101', async () => {
    const seen: string[] = [];
    const peer = await wsServer(
      secure,
      (socket) => {
        socket.ping('hi');
        socket.send('text');
        socket.close(1001, 'bye');
      },
      true,
    );
    const conn = await open(peer);
    conn.setPingHandler((data) => void seen.push(`ping ${Buffer.from(data).toString()}`));
    conn.setCloseHandler((code, reason) => void seen.push(`close ${code} ${reason}`));
    await conn.receive((message) => void seen.push(message.text()));
    expect(seen).toEqual(['ping hi', 'text', 'close 1001 bye']);
    expect(await conn.closed).toMatchObject({ code: 1001, reason: 'bye', wasClean: true });
  });

  it('pings', async () => {
    const conn = await open(await wsServer(secure, echo));
    conn.discardReads().catch(() => {});
    expect(await conn.ping('x')).toBeGreaterThanOrEqual(0);
  });

  it('closes', async () => {
    let told!: (close: [number, string]) => void;
    const closed = new Promise<[number, string]>((resolve) => {
      told = resolve;
    });
    const peer = await wsServer(secure, (socket) => {
      socket.on('close', (code, reason) => told([code, String(reason)]));
    });
    const conn = await open(peer);
    expect(await conn.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
    expect(await closed).toEqual([4001, 'done']);
  });

  it('detects an abrupt end', async () => {
    const conn = await open(await wsServer(secure, (socket) => socket.terminate()));
    await expect(conn.readMessage()).rejects.toThrow();
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
  });
});
