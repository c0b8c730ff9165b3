import { connect as connectTcp, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type ServeOptions, serve } from '../../src/index.ts';
import { serveRaw } from '../../src/raw/index.ts';
import { request } from '../raw.ts';

type Start = (
  options: Pick<ServeOptions<boolean>, 'authenticate'>,
) => Promise<{ port: number; net: Server }>;

const SERVERS: Readonly<Record<string, Start>> = {
  async serve(options) {
    const tls = await selfSigned();
    const all = { host: '127.0.0.1', tls, handshakeTimeout: 60_000, ...options };
    const server = await serve<boolean>(all, (conn) => conn.terminate());
    whenOver(() => server.close({ timeout: 1 }));
    return { port: Number(new URL(server.url).port), net: server.http };
  },
  async serveRaw({ authenticate }) {
    const tls = await selfSigned();
    const all = { host: '127.0.0.1', tls, handshakeTimeout: 60_000 };
    const server = await serveRaw<boolean>(
      { ...all, authenticate: authenticate as () => boolean },
      (conn) => conn.terminate(),
    );
    whenOver(() => server.close({ timeout: 1 }));
    return { port: Number(new URL(server.url).port), net: server.net };
  },
};

const CLIENT_HELLO = Uint8Array.of(22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3);

const countOf = (net: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    net.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });

describe.each(Object.entries(SERVERS))('EA4 %s with TLS', (_, start) => {
  describe.each([0, 9])('and a client that sends %i bytes of its TLS handshake', (length) => {
    it.each(['FIN', 'reset'])('sees its %s at once', async (end) => {
      const { port, net } = await start({});
      const connected = new Promise((resolve) => net.once('connection', resolve));
      const client = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
      client.on('error', () => {}).resume();
      whenOver(() => void client.destroy());
      await connected;
      if (length > 0)
        await new Promise<void>((sent) =>
          client.write(CLIENT_HELLO.subarray(0, length), () => sent()),
        );
      if (end === 'FIN') client.end();
      else client.resetAndDestroy();
      await expect.poll(() => countOf(net)).toBe(0);
    });
  });
});

/** The renegotiations of a client until the server ends its socket, at most 20. */
async function renegotiations(port: number, bytes: Uint8Array | undefined): Promise<number> {
  const client = connectTls({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  });
  client.on('error', () => {}).resume();
  whenOver(() => void client.destroy());
  const closed = new Promise<true>((resolve) => client.once('close', () => resolve(true)));
  await new Promise((resolve) => client.once('secureConnect', resolve));
  if (bytes !== undefined) client.write(bytes);
  for (let count = 0; count < 20; count++) {
    const done = new Promise<boolean>((resolve) => {
      client.renegotiate({ rejectUnauthorized: false }, (error) =>
        resolve(error !== null && error !== undefined),
      );
    });
    if (await Promise.race([done, closed])) return count;
  }
  return 20;
}

describe.each(Object.entries(SERVERS))('EA5 %s ends a client of TLS 1.2', (_, start) => {
  it('at its fourth renegotiation before the request', async () => {
    const { port } = await start({});
    expect(await renegotiations(port, undefined)).toBeLessThan(5);
  });

  it('at its fourth renegotiation within the head of the request', async () => {
    const { port } = await start({});
    expect(await renegotiations(port, request().subarray(0, 40))).toBeLessThan(5);
  });

  it('at its fourth renegotiation while authenticate waits', async () => {
    const { port } = await start({ authenticate: () => new Promise<boolean>(() => {}) });
    expect(await renegotiations(port, request())).toBeLessThan(5);
  });

  it('at its fourth renegotiation after a refusal', async () => {
    const { port } = await start({ authenticate: () => false });
    expect(await renegotiations(port, request())).toBeLessThan(5);
  });

  it('at its fourth renegotiation after the 101', async () => {
    const { port } = await start({ authenticate: () => true });
    expect(await renegotiations(port, request())).toBeLessThan(5);
  });
});
