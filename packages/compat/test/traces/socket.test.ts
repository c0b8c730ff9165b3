import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { stoppedClock } from '@ws/tests';
import { describe } from 'vitest';
import { closed, type Scene, samePair, sameTrace } from '../trace.ts';

type Socketish = InstanceType<Scene['ws']>;

/** Text frames of a server. */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]);
}

/** A client, and its connection on a server of the application with other references to the socket. */
async function upgraded(
  scene: Scene,
  handle: (ws: Socketish, socket: Duplex, request: IncomingMessage) => void,
): Promise<void> {
  const wss = new scene.ws.WebSocketServer({ noServer: true });
  const accepted: Socketish[] = [];
  const http = createServer();
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('close', () => scene.log('socket', 'close'));
    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.on('error', () => {});
      accepted.push(scene.watch('server', ws));
      handle(ws, socket, request);
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  scene.cleanup(() => {
    http.close();
  });
  const client = scene.client(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`);
  await closed(client);
  await closed(...accepted);
}

describe('other references to the socket', () => {
  sameTrace('write after what was sent', async (scene) => {
    await upgraded(scene, (ws, socket, request) => {
      ws.send('1');
      socket.write(frame('2'));
      ws.send('3');
      request.socket.write(frame('4'), scene.callback('server', 'write') as never);
      ws.send('5');
      socket.write(Buffer.concat([frame('6'), Buffer.from('880203e8', 'hex')]));
    });
  });

  sameTrace('end after what was sent', async (scene) => {
    await upgraded(scene, (ws, socket) => {
      ws.send('1', scene.callback('server', 'send') as never);
      socket.end();
    });
  });

  sameTrace('end with bytes after what was sent', async (scene) => {
    await upgraded(scene, (ws, _socket, request) => {
      ws.send('1');
      request.socket.end(Buffer.from('880203e8', 'hex'));
    });
  });

  sameTrace('destroy after what was sent', async (scene) => {
    await upgraded(scene, (ws, socket) => {
      ws.send('1');
      socket.destroy();
    });
  });

  sameTrace('call a write that the application has replaced', async (scene) => {
    await upgraded(scene, (ws, socket) => {
      const sizes: number[] = [];
      const { write } = socket;
      socket.write = ((bytes: Buffer, ...more: never[]) => {
        sizes.push(bytes.length);
        return (write as (...all: unknown[]) => boolean).call(socket, bytes, ...more);
      }) as Socket['write'];
      ws.send('one');
      ws.on('close', () =>
        scene.log(
          'written',
          sizes.reduce((sum, size) => sum + size, 0),
        ),
      );
      ws.close(1000);
    });
  });

  sameTrace('cork', async (scene) => {
    await upgraded(scene, (ws, socket) => {
      socket.cork();
      ws.send('1');
      scene.log('server', 'buffered', ws.bufferedAmount);
      socket.write(frame('2'));
      ws.send('3');
      scene.log('server', 'buffered', ws.bufferedAmount);
      socket.uncork();
      ws.close();
    });
  });
});

describe('bufferedAmount', () => {
  // On a busy machine a send may find that its turn is a long one, and write at once.
  stoppedClock();

  samePair('is that of a socket which takes all bytes', ({ server }, scene) => {
    for (const size of [0, 1, 1000, 10_000]) {
      server.send(Buffer.alloc(size));
      scene.log('server', 'buffered', server.bufferedAmount);
    }
    server.close();
  });

  sameTrace('counts compressed messages of the turn', async (scene) => {
    const { server, client } = await scene.pair({ perMessageDeflate: { threshold: 0 } });
    for (const text of ['foo', 'a'.repeat(100)]) {
      await new Promise<void>((resolve) => {
        server.send(text);
        scene.log('server', 'buffered', server.bufferedAmount);
        server.send('bar', () => {
          scene.log('server', 'sent', server.bufferedAmount);
          resolve();
        });
        scene.log('server', 'buffered', server.bufferedAmount);
      });
    }
    server.close();
    await closed(server, client);
  });

  sameTrace('grows until a peer that does not read stops a loop', async (scene) => {
    const { server, client } = await scene.pair();
    client.pause();
    const data = Buffer.alloc(1024, 61);
    while (server.bufferedAmount === 0) server.send(data);
    const insides = server as unknown as { _socket: Socket };
    scene.log(
      'server',
      server.bufferedAmount > 0,
      server.bufferedAmount === insides._socket.writableLength,
    );
    const before = server.bufferedAmount;
    server.send(data);
    scene.log('server', 'grew by', server.bufferedAmount - before);
    server.terminate();
    client.terminate();
    await closed(server, client);
    scene.trace['client'] = [];
  });
});

describe('the first two messages to a peer that has left', () => {
  samePair(
    'fail as an error of the socket, not of the connection',
    async ({ server, client }, scene) => {
      const socket = (client as unknown as { _socket: Socket })._socket;
      const failed = once(socket, 'error');
      server.terminate();
      client.send('foo');
      client.send('bar');
      const [{ code }] = (await failed) as [NodeJS.ErrnoException];
      scene.log('client', ['EPIPE', 'ECONNRESET'].includes(code!));
    },
  );
});
