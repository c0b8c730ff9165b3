import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { describe } from 'vitest';
import { closed, portOf, type Scene, sameTrace, upgradeRequest, urlOf } from '../trace.ts';

type Upgrade = [request: IncomingMessage, socket: Duplex, head: Buffer];

const REQUEST = {
  method: 'GET',
  url: '/',
  headers: {
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  },
  socket: {},
} as unknown as IncomingMessage;

/** The upgrade of a client, and a server that the program passes it to. */
async function upgrade(scene: Scene, options: object = {}) {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  scene.cleanup(() => server.close());
  const wss = new scene.ws.WebSocketServer({ noServer: true, ...options });
  const upgraded = once(server, 'upgrade') as Promise<Upgrade>;
  const { port } = server.address() as AddressInfo;
  const client = scene.client(`ws://127.0.0.1:${port}`);
  return { wss, client, args: await upgraded };
}

/** A stream that is no socket: it logs what is written. */
function plainStream(scene: Scene): Duplex {
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, callback) {
      scene.log('stream', String(chunk).split('\r\n')[0]);
      callback();
    },
  });
}

describe('handleUpgrade', () => {
  sameTrace('twice with the same socket', async (scene) => {
    const { wss, client, args } = await upgrade(scene);
    wss.handleUpgrade(...args, (ws) => scene.watch('server', ws));
    scene.attempt('server', 'again', () =>
      wss.handleUpgrade(...args, scene.callback('server', '2')),
    );
    await once(client, 'open');
    client.close();
    await closed(client);
  });

  sameTrace('with a stream that is no socket', async (scene) => {
    const wss = new scene.ws.WebSocketServer({ noServer: true });
    const stream = plainStream(scene);
    const accepted = new Promise<InstanceType<typeof scene.ws>>((resolve) => {
      wss.handleUpgrade(REQUEST, stream, Buffer.alloc(0), resolve);
    });
    const ws = scene.watch('server', await accepted);
    scene.log('server', ws.readyState, wss.clients.size);
    ws.terminate();
    await closed(ws);
    scene.log('server', wss.clients.size);
  });

  for (const end of ['readable', 'writable', 'both'] as const) {
    sameTrace(`with a stream of which has ended: ${end}`, async (scene) => {
      const wss = new scene.ws.WebSocketServer({ noServer: true });
      const stream = plainStream(scene);
      if (end !== 'writable') {
        stream.push(null);
        stream.resume();
        await once(stream, 'end');
      }
      if (end !== 'readable') stream.end();
      wss.handleUpgrade(REQUEST, stream, Buffer.alloc(0), scene.callback('server', 'upgraded'));
      scene.log('server', stream.destroyed, wss.clients.size);
    });
  }

  sameTrace('leaves its listener of error until the connection is open', async (scene) => {
    const { wss, client, args } = await upgrade(scene);
    const [, socket] = args;
    scene.log('server', socket.listenerCount('error'));
    wss.handleUpgrade(...args, () => scene.log('server', socket.listenerCount('error')));
    await once(client, 'open');
    client.terminate();
    await closed(client);
  });

  sameTrace('with a callback that throws', async (scene) => {
    const { wss, client, args } = await upgrade(scene);
    scene.attempt('server', 'handleUpgrade', () =>
      wss.handleUpgrade(...args, () => {
        throw new Error('of the callback');
      }),
    );
    await once(client, 'open');
    for (const ws of wss.clients) ws.close(1001);
    await closed(client);
  });

  sameTrace('with a shouldHandle that throws, and one that returns a promise', async (scene) => {
    const { wss, client, args } = await upgrade(scene);
    wss.shouldHandle = () => {
      throw new Error('of shouldHandle');
    };
    scene.attempt('server', 'throws', () => wss.handleUpgrade(...args, () => {}));
    wss.shouldHandle = () => Promise.resolve(false);
    scene.attempt('server', 'promise', () => wss.handleUpgrade(...args, (ws) => ws.close()));
    await closed(client);
  });
});

describe('verifyClient', () => {
  for (const answer of [true, false] as const) {
    sameTrace(`answers ${answer} after the client has aborted`, async (scene) => {
      let answered = (): void => {};
      const done = new Promise<void>((resolve) => {
        answered = resolve;
      });
      const wss = await scene.serve({
        verifyClient({ req }: { req: IncomingMessage }, callback: (ok: boolean) => void) {
          req.socket.on('close', () => {
            scene.attempt('server', 'callback', () => callback(answer));
            scene.log('server', wss.clients.size, req.socket.destroyed);
            answered();
          });
          socket.resetAndDestroy();
          // Reads the reset.
          req.socket.resume();
        },
      });
      wss.on('connection', scene.callback('server', 'connection'));
      const socket = net.connect(portOf(wss), '127.0.0.1');
      socket.on('error', () => {});
      socket.write(upgradeRequest());
      await done;
    });
  }

  sameTrace('answers twice', async (scene) => {
    const wss = await scene.serve({
      verifyClient(_info: unknown, callback: (ok: boolean) => void) {
        callback(true);
        scene.attempt('server', 'again', () => callback(true));
      },
    });
    const client = scene.client(urlOf(wss));
    await once(client, 'open');
    scene.log('server', wss.clients.size);
    client.close();
    await closed(client);
  });

  sameTrace('throws', async (scene) => {
    const { wss, client, args } = await upgrade(scene, {
      verifyClient: () => {
        throw new Error('of verifyClient');
      },
    });
    scene.attempt('server', 'handleUpgrade', () => wss.handleUpgrade(...args, () => {}));
    client.terminate();
    await closed(client);
  });

  sameTrace('returns what is not a boolean', async (scene) => {
    for (const value of [undefined, null, 0, '', 'yes', 1, {}, Promise.resolve(false)]) {
      const wss = await scene.serve({ verifyClient: (_info: unknown) => value });
      const client = scene.client(urlOf(wss));
      client.on('open', () => client.close());
      await closed(client);
    }
  });
});

describe('handleProtocols', () => {
  for (const value of [undefined, null, false, '', 0, 'other', 'b', 7, { toString: () => 'a' }]) {
    sameTrace(`returns ${JSON.stringify(value) ?? 'undefined'}`, async (scene) => {
      const wss = await scene.serve({ handleProtocols: () => value });
      wss.on('connection', (ws) => {
        ws.on('error', () => {});
        scene.log('server', typeof ws.protocol, ws.protocol);
      });
      const client = scene.client(urlOf(wss), ['a', 'b']);
      client.on('open', () => client.close());
      await closed(client);
      scene.log('client', client.protocol);
    });
  }

  sameTrace('throws', async (scene) => {
    const { wss, client, args } = await upgrade(scene, {
      handleProtocols: () => {
        throw new Error('of handleProtocols');
      },
    });
    args[0].headers['sec-websocket-protocol'] = 'a';
    scene.attempt('server', 'handleUpgrade', () => wss.handleUpgrade(...args, () => {}));
    client.terminate();
    await closed(client);
  });
});

describe('a server that closes', () => {
  sameTrace('keeps its clients, and closes after the last one', async (scene) => {
    const { server, client, wss } = await scene.pair();
    wss.close(scene.callback('wss', 'close'));
    scene.log('wss', wss.clients.size, wss.address());
    wss.close(scene.callback('wss', 'close 2'));
    server.send('still here');
    await once(client, 'message');
    client.close();
    await Promise.all([closed(server, client), once(wss, 'close')]);
    wss.close(scene.callback('wss', 'close 3'));
    await once(wss, 'close');
    scene.log('wss', wss.clients.size);
  });

  sameTrace('leaves no listeners on a foreign server', async (scene) => {
    const server = http.createServer();
    const count = (): string =>
      ['listening', 'error', 'upgrade', 'request', 'close']
        .map((name) => `${name} ${server.listenerCount(name)}`)
        .join();
    scene.log('server', count());
    const wss = new scene.ws.WebSocketServer({ server });
    scene.log('server', count());
    wss.close(scene.callback('server', 'closed'));
    scene.log('server', count());
    await once(wss, 'close');
  });
});
