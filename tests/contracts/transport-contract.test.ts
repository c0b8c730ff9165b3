import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { streamTransport, type Transport } from '@ws/conn';
import { socketTransport } from '@ws/node-io';
import {
  listening,
  replaced,
  type TransportPair,
  transportContract,
  transportRules,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';

/** The ends of a connection over TCP. */
async function tcpPair(): Promise<TransportPair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const port = await listening(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  server.close();
  return { near: socketTransport(near), far: socketTransport(far) };
}

/** The ends of two streams in memory, one for each direction. */
function streamPair(): TransportPair {
  const bytes = (): TransformStream<Uint8Array, Uint8Array> =>
    new TransformStream(undefined, { highWaterMark: 1 }, { highWaterMark: 1 });
  const [there, back] = [bytes(), bytes()];
  return {
    near: streamTransport({ readable: back.readable, writable: there.writable }),
    far: streamTransport({ readable: there.readable, writable: back.writable }),
  };
}

transportContract('streams in memory', async () => streamPair());

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
    const { near, far } = await tcpPair();
    await expect(rule!.check({ near: replaced(near, spoil(near)), far })).rejects.toThrow();
    near.destroy();
    far.destroy();
  });
});
