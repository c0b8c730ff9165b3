import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { BlockList, Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Conn, type Diagnostics, serve, TransportError } from '../../src/index.ts';
import { checkUpgraderOptions } from '../../src/options.ts';
import { addressByOption, forwardedAddress } from '../../src/policies/client-address.ts';
import { upgradeOfNode } from '../../src/upgrade-listeners.ts';
import type { UpgradeRequest } from '../../src/upgrade-request.ts';
import { connectRaw, exchange, request, serving, trapLeftovers } from '../raw.ts';

trapLeftovers();

const PEER = '10.0.0.1';

const plan = checkUpgraderOptions({});
const requestOn = (socket: Partial<Socket>, rawHeaders: string[] = []): UpgradeRequest => {
  const req = { socket, rawHeaders } as IncomingMessage;
  return upgradeOfNode(plan, req, socket as Socket, Buffer.alloc(0));
};
const from = (peer: string | undefined, lines: readonly string[]): UpgradeRequest =>
  requestOn(
    { remoteAddress: peer },
    lines.flatMap((line) => ['X-Forwarded-FOR', line]),
  );

it('clientAddress replaces the address of the peer', () => {
  const ofPeer = addressByOption((req) => `user of ${req.socket.remoteAddress}`);
  expect(ofPeer(from(PEER, []))).toBe(`user of ${PEER}`);
});

it('refuses a client whose address the system has forgotten', () => {
  const request = requestOn({ remoteAddress: undefined, localAddress: '127.0.0.1' });
  expect(() => plan.findAddress(request)).toThrow(TransportError);
});

describe('trustProxy: a number', () => {
  it.each([
    [1, [], PEER],
    [1, ['1.1.1.1'], '1.1.1.1'],
    [1, ['6.6.6.6, 1.1.1.1'], '1.1.1.1'],
    [1, ['6.6.6.6', '1.1.1.1'], '1.1.1.1'],
    [2, ['6.6.6.6,1.1.1.1 ,  10.0.0.2'], '1.1.1.1'],
    [2, ['1.1.1.1'], '1.1.1.1'],
    [1, ['1.1.1.1:4711'], '1.1.1.1'],
    [1, ['[2001:db8::1]:4711'], '2001:db8::1'],
    [1, ['[2001:db8::1]'], '2001:db8::1'],
    [1, ['2001:db8::1'], '2001:db8::1'],
    [1, ['1.1.1.1, unknown'], PEER],
    [1, ['1.1.1.1,'], PEER],
    [2, ['1.1.1.1, x, 10.0.0.2'], '10.0.0.2'],
    [1, ['1.1.1.256'], PEER],
    [1, ['[1.1.1.1'], PEER],
    [1, ['127.1'], PEER],
    [1, ['<script>'], PEER],
  ])('%i of %j is %s', (proxies, lines, address) => {
    expect(forwardedAddress(proxies)(from(PEER, lines))).toBe(address);
  });
});

describe('trustProxy: a BlockList', () => {
  const proxies = new BlockList();
  proxies.addSubnet('10.0.0.0', 8);
  proxies.addSubnet('fe80::', 10, 'ipv6');

  it.each([
    [PEER, ['6.6.6.6, 1.1.1.1, 10.0.0.2'], '1.1.1.1'],
    [PEER, ['10.0.0.3, 10.0.0.2'], '10.0.0.3'],
    [PEER, [], PEER],
    ['9.9.9.9', ['1.1.1.1'], '9.9.9.9'],
    ['::ffff:10.0.0.1', ['1.1.1.1'], '1.1.1.1'],
    ['fe80::1%eth0', ['1.1.1.1'], '1.1.1.1'],
    [undefined, ['1.1.1.1'], '1.1.1.1'],
    [undefined, [], undefined],
  ])('from %s through %j is %s', (peer, lines, address) => {
    expect(forwardedAddress(proxies)(from(peer, lines))).toBe(address);
  });
});

it('the handler and the limits use the address that trustProxy finds', async () => {
  const addresses: unknown[] = [];
  const server = await serving(
    { trustProxy: 1, limits: [{ by: 'address' as const, connections: 1 }] },
    (conn, _req, { address }) => {
      addresses.push(address);
      return conn.discardReads();
    },
  );
  const { port } = server;
  const forwarded = (address: string): string => `X-Forwarded-For: 9.9.9.9, ${address}`;
  const client = await connectRaw(port);
  await client.upgrade({ add: [forwarded('1.1.1.1')] });
  const same = await exchange(port, request({ add: [forwarded('1.1.1.1')] }));
  expect(same.status).toBe(429);
  const other = await connectRaw(port);
  expect((await other.upgrade({ add: [forwarded('1.1.1.2')] })).status).toBe(101);
  expect(addresses).toEqual(['1.1.1.1', '1.1.1.2']);
  client.stream.destroy();
  other.stream.destroy();
});

describe('the address of the peer', () => {
  /** Counts how often Node asks the system for the address of a peer. */
  function countQuestions(): { readonly mock: { readonly calls: unknown[] } } {
    const prototype = Socket.prototype as unknown as { _getpeername(): object };
    const asked = vi.spyOn(prototype, '_getpeername');
    onTestFinished(() => asked.mockRestore());
    return asked;
  }

  it.each([
    { options: {}, asks: false },
    { options: { maxConnections: 10 }, asks: false },
    {
      options: {
        clientAddress: () => 'ada',
        limits: [{ by: 'address' as const, connections: 10 }],
      },
      asks: false,
    },
    { options: { limits: [{ by: 'address' as const, connections: 10 }] }, asks: true },
    { options: { trustProxy: 1 }, asks: true },
  ])('is asked for: $asks, with $options', async ({ options, asks }) => {
    const asked = countQuestions();
    const server = await serving({ ...options }, (conn) => conn.discardReads());
    const client = await connectRaw(server.port);
    await client.upgrade();
    const [conn] = server.connections;
    client.stream.destroy();
    await conn!.closed;
    expect(asked.mock.calls.length > 0).toBe(asks);
  });

  it('stays after the end of the socket, in the context and on the connection', async () => {
    const seen: unknown[] = [];
    const server = await serve({ host: '127.0.0.1' }, async (conn, _req, context) => {
      seen.push(context.address, conn.remoteAddr);
      await conn.discardReads().catch(() => {});
      seen.push(context.address, conn.remoteAddr, { ...context }.address);
    });
    const client = await connectRaw(Number(new URL(server.url).port));
    await client.upgrade();
    const { localPort } = client.stream;
    client.stream.destroy();
    await server.close();
    const addr = `127.0.0.1:${localPort}`;
    expect(seen).toEqual(['127.0.0.1', addr, '127.0.0.1', addr, '127.0.0.1']);
  });

  it('is known to a subscriber of @ws:close', async () => {
    const addresses: unknown[] = [];
    let accepted: Conn | undefined;
    const onClose = (event: unknown): void => {
      const { conn } = event as Diagnostics['@ws:close'];
      if (conn === accepted) addresses.push(conn.remoteAddr);
    };
    subscribe('@ws:close', onClose);
    onTestFinished(() => void unsubscribe('@ws:close', onClose));
    const server = await serve({ host: '127.0.0.1' }, (conn) => {
      accepted = conn;
      return conn.discardReads();
    });
    const client = await connectRaw(Number(new URL(server.url).port));
    await client.upgrade();
    const { localPort } = client.stream;
    client.stream.resetAndDestroy();
    await server.close();
    expect(addresses).toEqual([`127.0.0.1:${localPort}`]);
  });
});
