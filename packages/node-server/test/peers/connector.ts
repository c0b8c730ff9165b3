import { once } from 'node:events';
import { selfSigned } from '@ws/tests';
import { type Connector, rawClient, upgradeRequest, whenOver } from '@ws/tests/peers';
import { WebSocket } from 'ws';
import { type Conn, type ConnSettings, serve } from '../../src/index.ts';

/** A server that passes its connections to the test. */
async function serving(secure: boolean, settings: ConnSettings = {}) {
  const { key, cert } = await selfSigned();
  const waiting: ((conn: Conn) => void)[] = [];
  const tls = secure ? { key, cert } : undefined;
  const server = await serve({ ...settings, host: '127.0.0.1', tls }, (conn) => {
    whenOver(() => conn.terminate());
    waiting.shift()?.(conn);
  });
  whenOver(() => server.close());
  return {
    server,
    ca: cert,
    port: Number(new URL(server.url).port),
    /** The next accepted connection. */
    accepted: () => new Promise<Conn>((resolve) => waiting.push(resolve)),
    left: () => server.connections.size,
  };
}

/** `serve` is the tested end. */
export const serverConnector: Connector = {
  role: 'server',
  async ws(secure, settings) {
    const { server, ca, accepted, left } = await serving(secure, settings);
    const accepting = accepted();
    const ws = new WebSocket(server.url, { ca, maxPayload: 0, perMessageDeflate: false });
    whenOver(() => ws.terminate());
    const [conn] = await Promise.all([accepting, once(ws, 'open')]);
    ws.on('error', () => {});
    return { conn, ws, left };
  },
  async raw(secure, settings) {
    const { port, accepted, left } = await serving(secure, settings);
    const accepting = accepted();
    const peer = await rawClient(port, secure);
    await peer.write(upgradeRequest());
    await peer.head();
    peer.startFrames();
    return { conn: await accepting, peer, left };
  },
};
