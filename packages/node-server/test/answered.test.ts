import { once } from 'node:events';
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Conn, Upgrader, type UpgraderOptions } from '../src/index.ts';
import { masked, RawClient, request, trapLeftovers, trapUncaught } from './raw.ts';

trapUncaught();
trapLeftovers();

type Answer = (req: IncomingMessage, socket: Duplex) => void;

/** What `upgrade` comes to and what the client gets, when `answer` runs where `by` says. */
async function upgraded(by: 'upgrade' | 'request', answer: Answer, options: UpgraderOptions = {}) {
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
  const client = await RawClient.connect((server.address() as AddressInfo).port);
  onTestFinished(() => void client.socket.destroy());
  client.socket.write(request({ behind: masked(1, 'early') }));
  return { client, outcome: await outcome };
}

const MINE = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n';
const refuses: UpgraderOptions = { checkOrigin: () => false };
const responseOf = (req: IncomingMessage): ServerResponse =>
  (req as IncomingMessage & { res: ServerResponse }).res;

describe('a request that something else has answered', () => {
  const big = 'mine'.repeat(500_000);

  it.each([
    { says: 'accepted', options: {} },
    { says: 'refused', options: refuses },
  ])(
    'by ending its socket keeps that answer, whole, where it would be $says',
    async ({ options }) => {
      const answer: Answer = (_req, socket) => void socket.end(MINE + big);
      const { client, outcome } = await upgraded('upgrade', answer, options);
      expect(String(outcome)).toContain('answered by something else');
      client.socket.on('end', () => client.socket.end());
      await client.closed();
      expect(client.received.toString()).toBe(MINE + big);
    },
  );

  it.each([
    { says: 'accepted', allowed: true },
    { says: 'refused', allowed: false },
  ])('during a check that then $says it keeps that answer', async ({ allowed }) => {
    const checkOrigin = async (req: IncomingMessage): Promise<boolean> => {
      await Promise.resolve();
      req.socket.end(MINE + big);
      return allowed;
    };
    const { client, outcome } = await upgraded('upgrade', () => {}, { checkOrigin });
    expect(outcome).toBeInstanceOf(Error);
    client.socket.on('end', () => client.socket.end());
    await client.closed();
    expect(client.received.toString()).toBe(MINE + big);
  });

  it('by a response of its own keeps that answer', async () => {
    const { client, outcome } = await upgraded('upgrade', (req, socket) => {
      const res = new ServerResponse(req);
      res.assignSocket(socket as never);
      res.writeHead(200, { Connection: 'close' }).end('mine');
    });
    expect(String(outcome)).toContain('answered by something else');
    await client.closed();
    expect(client.received.toString()).toContain('mine');
    expect(client.received.toString()).not.toContain(' 101 ');
  });

  it('may have a response that has said nothing', async () => {
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
  it('is answered with 500, since its first frames are lost', async () => {
    const { client, outcome } = await upgraded('request', () => {});
    expect(outcome).toMatchObject({ status: 500 });
    expect(String((outcome as Error).cause)).toContain("outside a listener for 'upgrade'");
    await client.until(() => client.received.includes('\r\n\r\n'));
    expect(client.received.toString()).toMatch(/^HTTP\/1\.1 500 /);
  });

  it.each([
    { says: 'is being answered', answer: (res: ServerResponse) => res.write('mine') },
    { says: 'has been answered', answer: (res: ServerResponse) => res.end('mine') },
  ])('leaves a request alone that $says', async ({ answer }) => {
    const { client, outcome } = await upgraded('request', (req) => void answer(responseOf(req)));
    expect(String(outcome)).toContain('answered by something else');
    await client.until(() => client.received.includes('mine'));
    expect(client.received.toString().split('HTTP/1.1 ').length).toBe(2);
    expect(client.received.toString()).toMatch(/^HTTP\/1\.1 200 /);
  });
});
