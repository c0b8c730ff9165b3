import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { StreamPeer, selfSigned, streamServer } from '@ws/tests';
import {
  type Carrier,
  type Connector,
  type RawPeer,
  rawServer,
  switchingProtocols,
  whenOver,
  wsOver,
} from '@ws/tests/peers';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Conn, type ConnSettings, Dialer, type DialerOptions } from '../../src/index.ts';

async function dialed(url: string, ca: string, settings: DialerOptions = {}): Promise<Conn> {
  const conn = await new Dialer({ ...settings, tls: { ca } }).dial(url);
  whenOver(() => conn.terminate());
  return conn;
}

/** Dials a server of streams: the stream is the other end. */
async function streamed<T>(
  { secure }: Carrier,
  settings: ConnSettings | undefined,
  other: (stream: ServerHttp2Stream) => T,
): Promise<readonly [Conn, T]> {
  let accept!: (end: T) => void;
  const accepted = new Promise<T>((resolve) => {
    accept = resolve;
  });
  const { url, ca } = await streamServer(secure, (stream) => accept(other(stream)));
  const conn = await dialed(url, ca, { ...settings, http2: 'only' });
  return [conn, await accepted];
}

const counted = (conn: Conn) => () => (conn.state === 'closed' ? 0 : 1);

/** `Dialer` is the tested end. */
export const clientConnector: Connector = {
  role: 'client',
  async ws(carrier, settings) {
    const { secure, http2 } = carrier;
    if (http2) {
      const [conn, ws] = await streamed(carrier, settings, (stream) => wsOver(stream, 'server'));
      ws.on('error', () => {});
      return { conn, ws, left: counted(conn) };
    }
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
  async raw(carrier, settings) {
    if (carrier.http2) {
      const made = (stream: ServerHttp2Stream): StreamPeer => new StreamPeer(stream, 'server');
      const [conn, peer] = await streamed(carrier, settings, made);
      peer.startFrames();
      return { conn, peer, left: counted(conn) };
    }
    let opened!: (peer: RawPeer) => void;
    const opening = new Promise<RawPeer>((resolve) => {
      opened = resolve;
    });
    const { url, ca } = await rawServer(carrier.secure, async (peer) => {
      const request = await peer.head();
      peer.startFrames();
      await peer.write(switchingProtocols(request));
      opened(peer);
    });
    const conn = await dialed(url, ca, settings);
    return { conn, peer: await opening, left: counted(conn) };
  },
};
