import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe } from 'vitest';
import { closed, masked, type Scene, sameRaw, sameSide, sameTrace, type Ws } from '../trace.ts';

type Connection = InstanceType<Ws>;

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function socketOf(ws: Connection): Socket {
  return (ws as never as { _socket: Socket })._socket;
}

function logSocket(scene: Scene, party: string, socket: Duplex): void {
  for (const event of ['end', 'finish', 'error', 'close']) {
    socket.on(event, () => scene.log(party, 'socket', event));
  }
}

function turn(): Promise<void> {
  return new Promise(setImmediate);
}

describe('a client whose server ends its half', () => {
  for (const frames of ['', '810161', '8100890178', '880203e8', '0101', '8300']) {
    sameTrace(`after the bytes "${frames}"`, async (scene) => {
      const url = await halfOpenServer(scene, (socket) => socket.end(Buffer.from(frames, 'hex')));
      const client = scene.client(url);
      await closed(client);
    });

    sameTrace(`after the bytes "${frames}", which come after our close frame`, async (scene) => {
      const url = await halfOpenServer(scene, (socket) => {
        socket.once('data', () => socket.end(Buffer.from(frames, 'hex')));
      });
      const client = scene.client(url);
      client.on('open', () => client.close(1001, 'away'));
      await closed(client);
    });
  }

  sameTrace('in a listener of open', async (scene) => {
    const url = await halfOpenServer(scene, (socket) => socket.end());
    const client = scene.client(url);
    client.on('open', () => {
      client.send('x', scene.callback('client', 'send'));
      client.close(1000);
      client.terminate();
    });
    await closed(client);
  });
});

describe('a server whose client ends its half', () => {
  sameTrace('gets messages before, and sends no more', async (scene) => {
    const { server, socket } = await scene.rawClient();
    server.on('message', () => server.send('answer', scene.callback('server', 'send')));
    socket.end(Buffer.concat([masked(0x81, 'a'), masked(0x81, 'b')]));
    await closed(server);
    server.send('late', scene.callback('server', 'late'));
    await turn();
  });

  sameRaw('while a listener closes the connection', ({ server, socket }) => {
    server.on('message', () => server.close(1000, 'got it'));
    socket.end(masked(0x81, 'a'));
  });

  sameTrace('while the connection is paused', async (scene) => {
    const { server, socket } = await scene.rawClient();
    server.pause();
    socket.end(Buffer.concat([masked(0x81, 'a'), masked(0x88, Buffer.from([3, 232]))]));
    await once(socket, 'finish');
    await turn();
    scene.log('server', server.isPaused, server.readyState);
    server.resume();
    await closed(server);
    scene.log('server', server.isPaused);
  });
});

describe.each([['server'], ['client']] as const)('the socket of the %s', (side) => {
  for (const way of ['close', 'terminate', 'end', 'destroy'] as const) {
    sameTrace(`${way}: the events of the socket and of the connection`, async (scene) => {
      const { server, client } = await scene.pair();
      const ws = side === 'server' ? server : client;
      const socket = socketOf(ws);
      logSocket(scene, side, socket);
      if (way === 'close' || way === 'terminate') ws[way]();
      else socket[way]();
      await closed(server, client);
      await turn();
    });

    sameSide(
      side,
      `${way} in a listener of message, with more messages behind`,
      ({ ws, peer }, scene) => {
        ws.once('message', () => {
          if (way === 'close' || way === 'terminate') ws[way]();
          else socketOf(ws)[way]();
          scene.log(side, 'state', ws.readyState);
        });
        socketOf(peer).cork();
        for (const text of ['1', '2', '3']) peer.send(text);
        socketOf(peer).uncork();
      },
    );

    sameSide(side, `${way} in a callback of send`, ({ ws }, scene) => {
      ws.send('x', (error) => {
        scene.log(side, 'sent', error);
        if (way === 'close' || way === 'terminate') ws[way]();
        else socketOf(ws)[way]();
        scene.log(side, 'state', ws.readyState);
      });
    });
  }

  sameTrace('pause, then close: the answer waits', async (scene) => {
    const { server, client } = await scene.pair();
    const [ws, peer] = side === 'server' ? [server, client] : [client, server];
    ws.pause();
    peer.send('x');
    const heard = once(socketOf(peer), 'data');
    ws.close(1000);
    scene.log(side, ws.isPaused, ws.readyState);
    await heard;
    ws.resume();
    scene.log(side, ws.isPaused);
    await closed(server, client);
    ws.pause();
    scene.log(side, ws.isPaused);
    ws.resume();
  });

  sameTrace('pause, then terminate', async (scene) => {
    const { server, client } = await scene.pair();
    const ws = side === 'server' ? server : client;
    ws.pause();
    ws.pause();
    ws.terminate();
    await closed(server, client);
    scene.log(side, ws.isPaused);
  });

  sameTrace('an error of a frame after our close frame, and after terminate', async (scene) => {
    const { server, client } = await scene.pair();
    const [ws, peer] = side === 'server' ? [server, client] : [client, server];
    socketOf(peer).write(Buffer.from('8300', 'hex'));
    ws.close(1000);
    await closed(ws);
    ws.terminate();
    ws.close();
    await closed(peer);
  });
});

describe('a client that has ended its side of the socket', () => {
  for (const allowSynchronousEvents of [true, false]) {
    // Its pong fails, which closes the connection: before 'ping' if the pong leaves earlier.
    sameTrace(`emits a ping when it answers it: ${allowSynchronousEvents}`, async (scene) => {
      const { server, client } = await scene.pair({}, { allowSynchronousEvents });
      server.ping();
      socketOf(client).end();
      await closed(server, client);
    });
  }
});

/** Answers the handshake, and calls `use` with the socket, which stays half open. */
async function halfOpenServer(scene: Scene, use: (socket: Duplex) => void): Promise<string> {
  const server = http.createServer();
  server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
    scene.cleanup(() => socket.destroy());
    socket.on('error', () => {});
    const key = `${request.headers['sec-websocket-key']}${GUID}`;
    const accept = createHash('sha1').update(key).digest('base64');
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
    socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'), () => {
      use(socket);
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scene.cleanup(() => server.close());
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
