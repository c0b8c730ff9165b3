import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { selfSigned } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Conn, formatCloseMessage, Upgrader } from '../src/index.ts';
import { connectRaw, masked, RawPeer, serving, trapLeftovers } from './raw.ts';

trapLeftovers();

type OnConn = (conn: Conn) => void;
type OnUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Listens with an 'upgrade' listener and returns the port. */
async function listening(secure: boolean, onUpgrade: OnUpgrade): Promise<number> {
  const onRequest: RequestListener = (_req, res) => res.end();
  const server = secure ? createTlsServer(await selfSigned(), onRequest) : createServer(onRequest);
  server.on('upgrade', onUpgrade);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function upgraded(
  upgrader: Upgrader,
  onConn: OnConn,
  ...args: Parameters<OnUpgrade>
): Promise<void> {
  const conn = await upgrader.upgrade(...args);
  onConn(conn);
}

/** Ways to get a connection; `onConn` is the synchronous code that gets it. */
const ways: readonly {
  by: string;
  start: (secure: boolean, onConn: OnConn) => Promise<number>;
}[] = [
  {
    by: 'serve',
    async start(secure, onConn) {
      const tls = secure ? await selfSigned() : undefined;
      const server = await serving({ tls }, onConn);
      return server.port;
    },
  },
  {
    by: 'upgrader.handler',
    start: (secure, onConn) => listening(secure, new Upgrader().handler(onConn)),
  },
  {
    by: 'await upgrader.upgrade',
    start(secure, onConn) {
      const upgrader = new Upgrader();
      return listening(secure, (req, socket, head) => {
        void upgraded(upgrader, onConn, req, socket, head);
      });
    },
  },
  {
    by: 'await upgrader.upgrade with a slow check',
    start(secure, onConn) {
      const upgrader = new Upgrader({
        checkOrigin: () => new Promise((resolve) => setImmediate(resolve, true)),
      });
      return listening(secure, (req, socket, head) => {
        void upgraded(upgrader, onConn, req, socket, head);
      });
    },
  },
];

async function clientOf(port: number, secure: boolean): Promise<RawPeer> {
  if (!secure) return connectRaw(port);
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return new RawPeer(socket);
}

describe.each([
  ['TCP', false],
  ['TLS', true],
] as const)('frames in the same segment as the request, over %s', (_, secure) => {
  it.each(ways)('reach handlers that are set at once, by $by', async ({ start }) => {
    const seen: string[] = [];
    const port = await start(secure, (conn) => {
      conn.setPingHandler((data) => void seen.push(`ping ${Buffer.from(data).toString()}`));
      conn.setCloseHandler((code, reason) => void seen.push(`close ${code} ${reason}`));
      void conn.receive((message) => void seen.push(message.text()));
    });
    const client = await clientOf(port, secure);
    const close = masked(8, formatCloseMessage(1001, 'bye'));
    await client.upgrade({ behind: Buffer.concat([masked(9, 'hi'), masked(1, 'text'), close]) });
    client.stream.on('end', () => client.stream.end());
    await client.closed;
    expect(seen).toEqual(['ping hi', 'text', 'close 1001 bye']);
    expect(client.received.toString('latin1')).toContain('\x88\x02\x03\xe9');
  });

  it.each(ways)('are answered without a reader, by $by', async ({ start }) => {
    const conns: Conn[] = [];
    const port = await start(secure, (conn) => void conns.push(conn));
    const client = await clientOf(port, secure);
    const close = masked(8, formatCloseMessage(1001, 'bye'));
    await client.upgrade({ behind: Buffer.concat([masked(9, 'hi'), close]) });
    client.stream.on('end', () => client.stream.end());
    await client.closed;
    expect(client.received.toString('latin1')).toBe('\x8a\x02hi\x88\x02\x03\xe9');
    expect(await conns[0]!.closed).toMatchObject({ code: 1001, wasClean: true });
  });
});
