import { once } from 'node:events';
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Conn, Upgrader, type UpgraderOptions } from '../../src/index.ts';
import { connectRaw, masked, type RawPeer, request, trapLeftovers } from '../raw.ts';

trapLeftovers();

type Answer = (req: IncomingMessage, socket: Duplex) => void;

/** Returns the outcome of `upgrade` and the client's bytes when `answer` runs at the point `by`. */
async function upgraded(
  by: 'upgrade' | 'request',
  answer: Answer,
  options: UpgraderOptions = {},
  reads = true,
): Promise<{ client: RawPeer; outcome: unknown }> {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  const upgrader = new Upgrader(options);
  const outcome = new Promise<unknown>((resolve) => {
    const upgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
      answer(req, socket);
      upgrader.upgrade(req, socket, head).then(resolve, resolve);
    };
    if (by === 'upgrade') server.on('upgrade', upgrade);
    else {
      server.on('request', (req, res) => {
        (req as { res?: ServerResponse }).res = res;
        upgrade(req, req.socket, Buffer.alloc(0));
      });
    }
  });
  await once(server, 'listening');
  const client = await connectRaw((server.address() as AddressInfo).port);
  onTestFinished(() => void client.stream.destroy());
  if (!reads) client.stream.removeAllListeners('data').pause();
  // For a plain request, frames after it would not be HTTP.
  const behind = by === 'upgrade' ? masked(1, 'early') : '';
  client.stream.write(request({ behind }));
  return { client, outcome: await outcome };
}

const MINE = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n';
const refuses: UpgraderOptions = { checkOrigin: () => false };
const responseOf = (req: IncomingMessage): ServerResponse =>
  (req as IncomingMessage & { res: ServerResponse }).res;

/** Counts the bytes of a client that starts to read now, until the server ends. */
async function drained({ stream }: RawPeer): Promise<number> {
  let bytes = 0;
  stream.on('data', (chunk) => {
    bytes += chunk.length;
  });
  stream.resume();
  await once(stream, 'end');
  stream.destroy();
  return bytes;
}

describe('a request that the application has answered', () => {
  // More than the system buffers while the client does not read.
  const big = MINE + 'mine'.repeat(4_000_000);

  it.each([
    { says: 'accepted', options: {} },
    { says: 'refused', options: refuses },
  ])(
    'by ending its socket keeps that answer, whole, where it would be $says',
    async ({ options }) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      onTestFinished(() => void vi.useRealTimers());
      const answer: Answer = (_req, socket) => void socket.end(big);
      const { client, outcome } = await upgraded('upgrade', answer, options, false);
      expect(String(outcome)).toContain('already answered');
      // Even if the client reads slowly.
      vi.advanceTimersByTime(60_000);
      expect(await drained(client)).toBe(big.length);
    },
  );

  it.each([
    { says: 'accepts', allowed: true, error: /already answered/ },
    { says: 'refuses', allowed: false, error: /without origin is not allowed/ },
  ])('keeps an answer given during a check that then $says it', async ({ allowed, error }) => {
    const checkOrigin = async (req: IncomingMessage): Promise<boolean> => {
      await Promise.resolve();
      req.socket.end(big);
      return allowed;
    };
    const { client, outcome } = await upgraded('upgrade', () => {}, { checkOrigin }, false);
    expect(String(outcome)).toMatch(error);
    expect(await drained(client)).toBe(big.length);
  });

  it('keeps an answer that was a response', async () => {
    const { client, outcome } = await upgraded('upgrade', (req, socket) => {
      const res = new ServerResponse(req);
      res.assignSocket(socket as never);
      res.writeHead(200, { Connection: 'close' }).end('mine');
    });
    expect(String(outcome)).toContain('already answered');
    await client.closed;
    expect(client.received.toString()).toContain('mine');
    expect(client.received.toString()).not.toContain(' 101 ');
  });

  it('is dropped when the client reads nothing of that answer', async () => {
    let closed: Promise<unknown> | undefined;
    const answer: Answer = (_req, socket) => {
      closed = once(socket, 'close');
      socket.end(big);
    };
    const options = { ...refuses, handshakeTimeout: 40 };
    const { outcome } = await upgraded('upgrade', answer, options, false);
    expect(String(outcome)).toContain('already answered');
    await closed;
  });

  it('may send that answer slowly', async () => {
    let idle: Promise<unknown> | undefined;
    let response: ServerResponse | undefined;
    const answer: Answer = (req, socket) => {
      idle = once(socket, 'timeout');
      response = new ServerResponse(req);
      response.assignSocket(socket as never);
      response.writeHead(200, { Connection: 'close' }).write('mine, ');
    };
    const { client } = await upgraded('upgrade', answer, { handshakeTimeout: 40 });
    await idle;
    response!.end('whole');
    await client.closed;
    expect(client.received.toString()).toContain('whole');
  });

  it('learns that the client has left within that answer', async () => {
    let closed: Promise<unknown> | undefined;
    const { client } = await upgraded('upgrade', (req, socket) => {
      const response = new ServerResponse(req);
      closed = once(response, 'close');
      response.assignSocket(socket as never);
      response.writeHead(200, { Connection: 'close' }).write('mine, ');
    });
    await client.until(() => client.received.includes('mine, '));
    client.stream.end();
    await closed;
  });

  it('may have a response without a head yet', async () => {
    const { client, outcome } = await upgraded('upgrade', (req, socket) => {
      new ServerResponse(req).assignSocket(socket as never);
    });
    const conn = outcome as Conn;
    expect((await conn.readMessage()).text()).toBe('early');
    await client.until(() => client.received.includes(' 101 '));
    conn.terminate();
    await conn.closed;
  });
});

describe("an upgrade in a listener for 'request'", () => {
  it('is answered with 500, because its first frames are lost', async () => {
    const { client, outcome } = await upgraded('request', () => {});
    const message = "upgrade was called outside a listener for 'upgrade'";
    expect(outcome).toMatchObject({
      status: 500,
      message: `websocket: 500: ${message}`,
      cause: { message: `websocket: ${message}` },
    });
    await client.until(() => client.received.includes('\r\n\r\n'));
    expect(client.received.toString()).toMatch(/^HTTP\/1\.1 500 /);
  });

  it('leaves a request with a pending answer and its connection unchanged', async () => {
    const responses: ServerResponse[] = [];
    const answer: Answer = (req) => {
      responses.push(responseOf(req));
      responses.at(-1)!.write(`mine ${req.url}`);
    };
    const { client, outcome } = await upgraded('request', answer);
    expect(String(outcome)).toContain('already answered');
    await client.until(() => client.received.includes('mine /chat'));
    responses[0]!.end();
    await client.until(() => client.received.includes('0\r\n\r\n'));
    client.stream.write('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.received.includes('mine /next'));
    expect(client.received.toString().split('HTTP/1.1 ').length).toBe(3);
    responses[1]!.end();
  });

  it('leaves a connection unchanged whose request was answered', async () => {
    const answer: Answer = (req) => void responseOf(req).end(`mine ${req.url}`);
    const { client, outcome } = await upgraded('request', answer);
    expect(String(outcome)).toContain('already answered');
    await client.until(() => client.received.includes('mine /chat'));
    // Node continues to read requests from it.
    client.stream.write('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.received.includes('mine /next'));
    expect(client.received.toString().split('HTTP/1.1 200 ').length).toBe(3);
  });
});
