import { once } from 'node:events';
import { openStream, StreamPeer, selfSigned } from '@ws/tests';
import {
  type Carrier,
  type Connector,
  rawClient,
  upgradeRequest,
  whenOver,
  wsOver,
} from '@ws/tests/peers';
import { WebSocket } from 'ws';
import { type Conn, type ConnSettings, type ServeOptions, serve } from '../../src/index.ts';

/** A server that passes its connections to the test. */
async function serving({ secure, http2 }: Carrier, settings: ConnSettings = {}) {
  const { key, cert } = await selfSigned();
  const waiting: ((conn: Conn) => void)[] = [];
  const tls = secure ? { key, cert } : undefined;
  const version: ServeOptions['http2'] = http2 && !secure ? 'clear' : http2;
  const options = { ...settings, host: '127.0.0.1', tls, http2: version };
  const server = await serve(options, (conn) => {
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
  async ws(carrier, settings) {
    const { server, ca, accepted, left } = await serving(carrier, settings);
    const accepting = accepted();
    if (carrier.http2) {
      const [conn, stream] = await Promise.all([accepting, openStream(server.url)]);
      const ws = wsOver(stream, 'client');
      ws.on('error', () => {});
      return { conn, ws, left };
    }
    const ws = new WebSocket(server.url, { ca, maxPayload: 0, perMessageDeflate: false });
    whenOver(() => ws.terminate());
    const [conn] = await Promise.all([accepting, once(ws, 'open')]);
    ws.on('error', () => {});
    return { conn, ws, left };
  },
  async raw(carrier, settings) {
    const { server, port, accepted, left } = await serving(carrier, settings);
    const accepting = accepted();
    if (carrier.http2) {
      const peer = new StreamPeer(await openStream(server.url));
      peer.startFrames();
      return { conn: await accepting, peer, left };
    }
    const peer = await rawClient(port, carrier.secure);
    await peer.write(upgradeRequest());
    await peer.head();
    peer.startFrames();
    return { conn: await accepting, peer, left };
  },
};
