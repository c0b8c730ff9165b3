import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { selfSigned } from '@ws/tests';
import { type NaiveServer, naiveServer } from './naive-server.ts';

/** Faults of TLS, and the case that reports each. */
export const TLS_FAULTS = {
  'needs a handshake in one record': 'a handshake and a message in records of 7 bytes',
  'needs a record in one segment': 'TLS records in TCP segments of 64 bytes',
  'knows no protocol of ALPN': 'the protocols http/1.1 in ALPN',
  'ends TCP without close_notify': 'both close frames, over TLS 1.2',
  'keeps TCP open after our FIN': 'our FIN without close_notify',
  'ignores a bad record': 'a record that does not decrypt',
  'accepts a handshake without TLS': 'a handshake without TLS',
} as const;

/** Name of a fault. */
export type TlsFault = keyof typeof TLS_FAULTS;

/** Size, with its header, of the record that does not decrypt. No other record of the suite has it. */
const BAD_RECORD_SIZE = 5 + 0x30;

/** Starts a naive server behind TLS on a free port of 127.0.0.1. */
export async function naiveTlsServer(fault?: TlsFault): Promise<NaiveServer> {
  const [{ cert, key }, inner] = [await selfSigned(), await naiveServer()];
  const innerPort = Number(new URL(inner.url).port);
  const sockets = new Set<Socket>();
  const has = (one: TlsFault): boolean => fault === one;

  function serveTls(tcp: Socket): void {
    const backend = connect(innerPort, '127.0.0.1');
    track(backend);
    const tls = new TLSSocket(tcp, {
      isServer: true,
      cert,
      key,
      ...(has('knows no protocol of ALPN') && { ALPNCallback: () => undefined }),
    });
    tls.on('error', () => tcp.destroy());
    let first = true;
    tls.on('data', (chunk: Buffer) => {
      if (first && has('needs a handshake in one record') && !chunk.includes('\r\n\r\n')) {
        tcp.destroy();
      }
      first = false;
      backend.write(chunk);
    });
    tls.on('end', () => backend.end());
    backend.on('data', (chunk: Buffer) => tls.write(chunk));
    backend.on('end', () => {
      if (has('ends TCP without close_notify')) setTimeout(() => tcp.destroy(), 50);
      else tls.end();
    });
  }

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  }

  /** Passes bytes on between a client and the TLS port. */
  function front(client: Socket, port: number): void {
    const to = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    track(to);
    client.on('data', (chunk: Buffer) => {
      const isRecord = chunk.length > 4 && chunk.length >= 5 + chunk.readUInt16BE(3);
      if (has('ignores a bad record') && chunk.length === BAD_RECORD_SIZE) return;
      if (has('needs a record in one segment') && !isRecord) client.destroy();
      else to.write(chunk);
    });
    client.on('end', () => {
      if (!has('keeps TCP open after our FIN')) to.end();
    });
    to.on('data', (chunk: Buffer) => client.write(chunk));
    to.on('end', () => client.end());
  }

  const secure = createServer({ allowHalfOpen: true }, (tcp) => {
    track(tcp);
    serveTls(tcp);
  });
  secure.listen(0, '127.0.0.1');
  await once(secure, 'listening');
  const { port: securePort } = secure.address() as AddressInfo;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    track(client);
    client.once('data', (chunk: Buffer) => {
      const plain = has('accepts a handshake without TLS') && chunk[0] === 'G'.charCodeAt(0);
      client.pause();
      client.unshift(chunk);
      front(client, plain ? innerPort : securePort);
      client.resume();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `wss://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      secure.close();
      await inner.close();
    },
  };
}
