import { once } from 'node:events';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { serve, Upgrader } from '../../src/index.ts';
import { connectRaw, RawPeer, request, trapLeftovers } from '../raw.ts';

trapLeftovers();

const HEAD = request().toString('latin1');
/** So that the TLS handshake of a peer has its time on a busy machine, in ms. */
const TLS_TIMEOUT = 30_000;
/** The truncated first record of a TLS handshake. */
const HALF_HELLO = Buffer.from('16030100c8010000c40303', 'hex');

/** The bytes that a peer sends before it stops, or continues byte by byte. */
interface Peer {
  says: string;
  sends: string | Buffer;
  trickles?: string;
}

// biome-ignore format: a table
const PEERS: readonly Peer[] = [
  { says: 'nothing', sends: '' },
  { says: 'a line end', sends: '\r\n' },
  { says: 'half a method', sends: 'GE' },
  { says: 'half a request line', sends: 'GET /chat HTT' },
  { says: 'a request line', sends: 'GET /chat HTTP/1.1\r\n' },
  { says: 'half a name', sends: 'GET /chat HTTP/1.1\r\nHo' },
  { says: 'half a value', sends: 'GET /chat HTTP/1.1\r\nHost: ser' },
  { says: 'a head without its last byte', sends: HEAD.slice(0, -1) },
  { says: 'a head without its last line end', sends: HEAD.slice(0, -2) },
  { says: 'a head byte by byte', sends: '', trickles: HEAD },
  { says: 'an endless value byte by byte', sends: `${HEAD.slice(0, -2)}X-A: `, trickles: 'x'.repeat(9_000) },
  { says: 'endless lines byte by byte', sends: HEAD.slice(0, -2), trickles: 'a:b\r\n'.repeat(2_000) },
];

/**
 * Sends the bytes of a peer, the trickled ones every 5 ms, until the server closes the connection.
 */
async function exhaust(client: RawPeer, { sends, trickles = '' }: Peer): Promise<string> {
  if (sends.length > 0) client.stream.write(sends);
  client.stream.on('end', () => client.stream.destroy());
  for (let i = 0; !client.stream.closed && i < trickles.length; i++) {
    client.stream.write(trickles[i]!);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await client.closed;
  return client.received.toString('latin1');
}

async function secured(port: number): Promise<RawPeer> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return new RawPeer(socket);
}

describe('serve ends a peer that sends', () => {
  const handshakeTimeout = 40;

  it.concurrent.for(PEERS)('$says', async (peer, { onTestFinished }) => {
    const server = await serve({ handshakeTimeout, host: '127.0.0.1' }, () => {});
    onTestFinished(async () => void (await server.close()));
    const client = await connectRaw(Number(new URL(server.url).port));
    expect(await exhaust(client, peer)).toMatch(
      /^(?:HTTP\/1\.1 408 [^]*request took too long\n)?$/,
    );
    expect(server.connections.size).toBe(0);
  });

  it.concurrent.for(PEERS)('over TLS $says', async (peer, { onTestFinished }) => {
    const tls = { ...(await selfSigned()), handshakeTimeout: TLS_TIMEOUT };
    const server = await serve({ handshakeTimeout, host: '127.0.0.1', tls }, () => {});
    onTestFinished(async () => void (await server.close()));
    const client = await secured(Number(new URL(server.url).port));
    expect(await exhaust(client, peer)).toMatch(
      /^(?:HTTP\/1\.1 408 [^]*request took too long\n)?$/,
    );
    expect(server.connections.size).toBe(0);
  });

  it.concurrent.for([
    { says: 'nothing where TLS begins', sends: '' },
    { says: 'half a ClientHello', sends: HALF_HELLO },
    {
      says: 'a ClientHello of zeros byte by byte',
      sends: HALF_HELLO,
      trickles: '\0'.repeat(5_000),
    },
  ])('$says', async (peer, { onTestFinished }) => {
    const server = await serve(
      { handshakeTimeout, host: '127.0.0.1', tls: await selfSigned() },
      () => {},
    );
    onTestFinished(async () => void (await server.close()));
    const client = await connectRaw(Number(new URL(server.url).port));
    // TLS may send an alert first.
    expect(await exhaust(client, peer)).not.toContain('HTTP');
  });

  it.concurrent('plain HTTP where TLS is spoken', async ({ onTestFinished }) => {
    const server = await serve({ host: '127.0.0.1', tls: await selfSigned() }, () => {});
    onTestFinished(async () => void (await server.close()));
    const client = await connectRaw(Number(new URL(server.url).port));
    expect(await exhaust(client, { says: '', sends: HEAD })).not.toContain('101');
  });

  it.concurrent.for(PEERS.filter(({ sends }) => String(sends).startsWith('G')))(
    'an end after $says, and answers 400',
    async ({ sends }, { onTestFinished }) => {
      const server = await serve({ host: '127.0.0.1' }, () => {});
      onTestFinished(async () => void (await server.close()));
      const client = await connectRaw(Number(new URL(server.url).port));
      client.stream.end(sends);
      await client.closed;
      expect(client.received.toString()).toMatch(/^HTTP\/1\.1 400 [^]*not an HTTP request/);
    },
  );

  it.concurrent('nothing after an answered plain request', async ({ onTestFinished }) => {
    const server = await serve(
      {
        // Longer, so that the first request fits in.
        handshakeTimeout: 400,
        host: '127.0.0.1',
        request: (_req, res) => res.end('a page'),
      },
      () => {},
    );
    onTestFinished(async () => void (await server.close()));
    const client = await connectRaw(Number(new URL(server.url).port));
    client.stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.received.includes('a page'));
    expect(await exhaust(client, { says: '', sends: 'GET /2 HTTP/1.1\r\n' })).toMatch(
      /a pageHTTP\/1\.1 408 /,
    );
  });
});

describe('the HTTP server of an Upgrader ends, by its own timeouts, a peer that sends', () => {
  it.concurrent.for(PEERS.filter(({ trickles }) => trickles === undefined))(
    '$says',
    async (peer, { onTestFinished }) => {
      const server = createServer({
        headersTimeout: 40,
        requestTimeout: 40,
        connectionsCheckingInterval: 10,
      });
      server.on(
        'upgrade',
        new Upgrader().handler(() => {}),
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      onTestFinished(() => void server.close());
      const client = await connectRaw((server.address() as AddressInfo).port);
      expect(await exhaust(client, peer)).not.toContain('101');
    },
  );
});

describe('after its request a peer', () => {
  it('that does not end after its refusal does not delay close', async () => {
    const server = await serve({ host: '127.0.0.1' }, () => {});
    const port = Number(new URL(server.url).port);
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const client = new RawPeer(socket);
    const ended = once(socket, 'end');
    socket.write(request({ line: 'POST / HTTP/1.1' }));
    await ended;
    expect(client.received.toString()).toMatch(/^HTTP\/1\.1 405 /);
    await server.close({ timeout: 20 });
    socket.destroy();
  });

  it.concurrent.for(['authenticate', 'checkOrigin'] as const)(
    'whose %s never settles gets 503, over TLS too',
    async (check, { onTestFinished }) => {
      const options = {
        handshakeTimeout: 400,
        host: '127.0.0.1',
        [check]: () => new Promise<never>(() => {}),
      };
      const tls = { ...(await selfSigned()), handshakeTimeout: TLS_TIMEOUT };
      for (const secure of [false, true]) {
        const server = await serve({ ...options, tls: secure ? tls : undefined }, () => {});
        onTestFinished(async () => void (await server.close()));
        const port = Number(new URL(server.url).port);
        const client = secure ? await secured(port) : await connectRaw(port);
        expect(await exhaust(client, { says: '', sends: HEAD })).toMatch(
          /^HTTP\/1\.1 503 [^]*handshake timed out\n$/,
        );
      }
    },
  );
});
