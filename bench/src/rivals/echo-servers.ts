import type { AddressInfo } from 'node:net';
import { serve } from '@ws/node-server';
import { WebSocketServer } from 'ws';

/** A server that sends each message back, with the settings that a measurement names. */
export interface EchoServer {
  readonly library: 'ours' | 'ws';
  readonly compression: false | EchoCompression;
}

/** Both sides compress everything, however small. All else is left at each library's defaults. */
interface EchoCompression {
  readonly mode: 'shared' | 'takeover';
  readonly level: number;
  /** Of what the client sends. Left out: what each library does by itself. */
  readonly clientMaxWindowBits?: number;
}

/** Starts it on a free port, which it gives. */
export function listen({ library, compression }: EchoServer): Promise<number> {
  return library === 'ours' ? listenOurs(compression) : listenWs(compression);
}

async function listenOurs(compression: false | EchoCompression): Promise<number> {
  const { url } = await serve(
    {
      host: '127.0.0.1',
      compression: compression === false ? false : { ...compression, threshold: 0 },
    },
    (conn) => {
      // However the connection ends: the load tells.
      conn.receive((message) => conn.send(message)).catch(() => {});
    },
  );
  return Number(new URL(url).port);
}

function listenWs(compression: false | EchoCompression): Promise<number> {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    perMessageDeflate: compression === false ? false : wsCompression(compression),
  });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => {});
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => resolve((server.address() as AddressInfo).port));
  });
}

function wsCompression({ mode, level, clientMaxWindowBits }: EchoCompression): object {
  const alone = mode === 'shared';
  return {
    threshold: 0,
    zlibDeflateOptions: { level },
    ...(alone && { serverNoContextTakeover: true, clientNoContextTakeover: true }),
    ...(clientMaxWindowBits !== undefined && { clientMaxWindowBits }),
  };
}
