import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { streamTransport, type Transport } from '@ws/conn';
import { socketTransport } from '@ws/node-io';
import {
  replaced,
  selfSigned,
  type TransportPair,
  transportContract,
  transportRules,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';

/** A listening server and a function that closes it. */
async function listening(server: Server): Promise<[port: number, dispose: () => Promise<void>]> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dispose = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return [(server.address() as AddressInfo).port, dispose];
}

/** The ends of a connection over TCP. */
async function tcpPair(): Promise<TransportPair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const [port, dispose] = await listening(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  return { near: socketTransport(near), far: socketTransport(far), dispose };
}

/** The ends of a connection over TLS. */
async function tlsPair(): Promise<TransportPair> {
  const { key, cert } = await selfSigned();
  const server = createTlsServer({ key, cert });
  const [port, dispose] = await listening(server);
  const accepted = once(server, 'secureConnection') as Promise<[Socket]>;
  const near = connectTls({ port, host: '127.0.0.1', ca: cert });
  const [[far]] = await Promise.all([accepted, once(near, 'secureConnect')]);
  return { near: socketTransport(near), far: socketTransport(far), dispose };
}

/** The ends of two streams in memory, one for each direction. */
function streamPair(): TransportPair {
  const bytes = (): TransformStream<Uint8Array, Uint8Array> =>
    new TransformStream(undefined, { highWaterMark: 1 }, { highWaterMark: 1 });
  const [there, back] = [bytes(), bytes()];
  return {
    near: streamTransport({ readable: back.readable, writable: there.writable }),
    far: streamTransport({ readable: there.readable, writable: back.writable }),
    dispose: async () => {},
  };
}

transportContract('a socket', tcpPair);
transportContract('streams in memory', async () => streamPair());
transportContract('a socket with TLS', tlsPair);

describe('transportContract', () => {
  it.each<[string, string, (near: Transport) => Partial<Transport>]>([
    [
      'releases twice',
      'releases each chunk exactly once, and does not use it later',
      (near) => ({
        write(chunk, release) {
          release?.();
          return near.write(Uint8Array.from(chunk), release);
        },
      }),
    ],
    [
      'sends the memory around a view',
      'sends the bytes of a view, and not the memory around it',
      (near) => ({ write: (chunk) => near.write(new Uint8Array(chunk.buffer)) }),
    ],
    [
      'delivers within start',
      'delivers nothing before start has returned',
      (near) => ({
        start(sink) {
          sink.data(Uint8Array.of(1));
          near.start(sink);
        },
      }),
    ],
    [
      'closes twice',
      'closes once after destroy, and so does its peer',
      (near) => ({
        start(sink) {
          near.start({
            data: (chunk, end) => sink.data(chunk, end),
            drain: () => sink.drain(),
            end: () => sink.end(),
            close: (error) => {
              sink.close(error);
              sink.close(error);
            },
          });
        },
      }),
    ],
    [
      'loses its error',
      'passes the error of destroy to close',
      (near) => ({ destroy: () => near.destroy() }),
    ],
    [
      'swaps two writes',
      'keeps the order of writes between cork and uncork',
      (near) => {
        let kept: Uint8Array | undefined;
        return {
          write(chunk) {
            if (kept === undefined) {
              kept = chunk;
              return true;
            }
            near.write(chunk);
            return near.write(kept);
          },
        };
      },
    ],
  ])('catches a transport that %s', async (_, title, spoil) => {
    const rule = transportRules.find((one) => one.title === title);
    const { near, far, dispose } = await tcpPair();
    await expect(rule!.check({ near: replaced(near, spoil(near)), far })).rejects.toThrow();
    near.destroy();
    far.destroy();
    await dispose?.();
  });
});
