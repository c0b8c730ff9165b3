import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '@ws/tests';
import {
  type Connector,
  type RawPeer,
  rawServer,
  switchingProtocols,
  whenOver,
} from '@ws/tests/peers';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Conn, type ConnSettings, Dialer } from '../../src/index.ts';

async function dialed(url: string, ca: string, settings: ConnSettings = {}): Promise<Conn> {
  const conn = await new Dialer({ ...settings, tls: { ca } }).dial(url);
  whenOver(() => conn.terminate());
  return conn;
}

const counted = (conn: Conn) => () => (conn.state === 'closed' ? 0 : 1);

/** `Dialer` is the tested end. */
export const clientConnector: Connector = {
  role: 'client',
  async ws(secure, settings) {
    const { key, cert } = await selfSigned();
    const http = secure ? createHttpsServer({ key, cert }) : createHttpServer();
    const server = new WebSocketServer({ server: http, maxPayload: 0 });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    whenOver(() => new Promise((resolve) => http.close(resolve)));
    const { port } = http.address() as AddressInfo;
    const connection = once(server, 'connection') as Promise<[WebSocket]>;
    const conn = await dialed(`${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`, cert, settings);
    const [ws] = await connection;
    whenOver(() => ws.terminate());
    ws.on('error', () => {});
    return { conn, ws, left: counted(conn) };
  },
  async raw(secure, settings) {
    let opened!: (peer: RawPeer) => void;
    const opening = new Promise<RawPeer>((resolve) => {
      opened = resolve;
    });
    const { url, ca } = await rawServer(secure, async (peer) => {
      const request = await peer.head();
      peer.startFrames();
      await peer.write(switchingProtocols(request));
      opened(peer);
    });
    const conn = await dialed(url, ca, settings);
    return { conn, peer: await opening, left: counted(conn) };
  },
};
