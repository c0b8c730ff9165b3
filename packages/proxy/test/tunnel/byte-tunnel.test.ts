import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nothingLeft, RawPeer, switchingProtocols, turn, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { createProxy, type Proxied } from '../../src/index.ts';
import { front, openPair, pair, rawTarget } from '../support.ts';

describe('the mode bytes', () => {
  nothingLeft();

  it('passes anything unread', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    await client.write(client.encode(5, 'unknown opcode', { rsv: 0x30 }));
    await expect(target.frame()).rejects.toThrow('invalid frame');
    expect(proxied.stats.in).toEqual({ bytes: 20, frames: 0, messages: 0 });
  });

  it('passes a FIN as a FIN, and the other half stays open', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    client.end();
    await target.until(({ ended }) => ended);
    await target.send(1, 'still there');
    expect(await client.sees(1)).toEqual(['text still there']);
    target.end();
    await client.until(({ ended }) => ended);
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1006 });
  });

  it.each(['client', 'target'] as const)('passes a reset of the %s as a reset', async (who) => {
    const { from, proxied } = await pair({ mode: 'bytes' });
    const [reset, other] = from(who);
    reset.reset();
    await other.closed;
    expect((other.error as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    expect(await proxied.closed).toMatchObject({ endedBy: who });
  });

  it('ends both by a FIN at proxy.close', async () => {
    const { front, finish } = await pair({ mode: 'bytes' });
    const closing = front.proxy.close({ timeout: 60_000 });
    await finish();
    await closing;
  });

  it('sees the FIN of a client that was stopped at proxy.close', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url, { mode: 'bytes' });
    const upgraded = once(between.server, 'upgrade') as Promise<[unknown, Socket]>;
    const { client, target } = await openPair(between, backend);
    const [, socket] = await upgraded;
    target.stream.pause();
    // No more than it takes: the proxy gives the client 5 s to end.
    const chunk = Buffer.alloc(256 * 1024);
    for (; !socket.isPaused(); await turn()) client.stream.write(chunk);
    client.end();
    const closing = between.proxy.close({ timeout: false });
    await once(socket, 'end');
    target.stream.resume();
    target.end();
    await Promise.all([client.closed, target.closed, closing]);
    expect([client.error, target.error]).toEqual([undefined, undefined]);
  });

  it.each([
    ['client', 'target'],
    ['target', 'client'],
  ] as const)('ends after a reset of the %s, with a Unix socket of the %s', async (who, unix) => {
    const opened = await unixPair(unix);
    opened[who].reset();
    await opened[unix].untilEnd();
    opened[unix].end();
    expect(await opened.proxied.closed).toMatchObject({ endedBy: who });
  });

  it.each(['client', 'target'] as const)(
    'passes the end of a Unix socket of the %s',
    async (unix) => {
      const opened = await unixPair(unix);
      const other = unix === 'client' ? opened.target : opened.client;
      // The proxy gets ECONNRESET: it has written bytes that the peer has not read.
      opened[unix].stream.pause();
      await other.write(other.encode(1, 'unread'));
      await expect
        .poll(() => opened.proxied.stats.in.bytes + opened.proxied.stats.out.bytes)
        .toBeGreaterThan(0);
      opened[unix].destroy();
      await other.untilEnd();
      other.end();
      expect(await opened.proxied.closed).toMatchObject({ endedBy: unix });
    },
  );

  it('ends when the application closes the proxy at the reset of a client', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url, { mode: 'bytes' });
    const closing = new Promise((resolve) => {
      between.server.prependListener('upgrade', (_, socket) => {
        socket.on('close', () => resolve(between.proxy.close({ timeout: false })));
      });
    });
    const { client, target, proxied } = await openPair(between, backend);
    client.reset();
    await closing;
    await target.untilEnd();
    target.end();
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy' });
  });
});

/** An open pair, one side of which is connected over a Unix socket. */
async function unixPair(unix: 'client' | 'target') {
  const path = join(
    tmpdir(),
    `ws-proxy-${process.pid}-${Math.random().toString(36).slice(2)}.sock`,
  );
  let opened!: (peer: RawPeer) => void;
  const target = new Promise<RawPeer>((resolve) => (opened = resolve));
  const backend = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = endsWithTest(new RawPeer(socket, socket, 'server'));
    void peer.head().then((head) => {
      void peer.write(switchingProtocols(head));
      opened(peer);
    });
  });
  const targetPort = await listen(backend, unix === 'target' ? path : 0);
  const proxy = createProxy(
    unix === 'target' ? `ws+unix:${path}:/` : `ws://127.0.0.1:${targetPort}`,
    { mode: 'bytes' },
  );
  const server = createHttpServer();
  const proxied = new Promise<Proxied>((resolve) => {
    server.on('upgrade', (...args) => resolve(proxy.upgrade(...args)));
  });
  const port = await listen(server, unix === 'client' ? path : 0);
  const socket = connect({ ...(unix === 'client' ? { path } : { port }), allowHalfOpen: true });
  const client = endsWithTest(new RawPeer(socket));
  expect((await client.upgrade()).status).toBe(101);
  return { client, target: await target, proxied: await proxied };
}

function endsWithTest(peer: RawPeer): RawPeer {
  void peer.closed.then(whenOver(() => peer.destroy()));
  return peer;
}

async function listen(server: Server, where: string | number): Promise<number> {
  server.listen(typeof where === 'string' ? { path: where } : { port: where, host: '127.0.0.1' });
  await once(server, 'listening');
  whenOver(() => new Promise((resolve) => server.close(resolve)));
  return typeof where === 'string' ? 0 : (server.address() as AddressInfo).port;
}
