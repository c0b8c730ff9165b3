import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { selfSigned } from '@ws/tests';
import { describe } from 'vitest';
import { closed, type Scene, sameTrace, urlOf } from '../trace.ts';

// The tasks of the examples in the README of ws, one program each.

type Socket = InstanceType<Scene['ws']>;

/** Starts `server` on a free port and returns its port. */
async function listening(scene: Scene, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scene.cleanup(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A client whose messages, errors and end are logged. */
function client(scene: Scene, party: string, url: string, options: object = {}): Socket {
  const ws = new scene.ws(url, options);
  ws.on('error', (error) => scene.log(party, 'error', error.message));
  ws.on('message', (data, isBinary) => scene.log(party, 'message', isBinary, data));
  ws.on('close', (code, reason) => scene.log(party, 'close', code, String(reason)));
  scene.cleanup(() => ws.terminate());
  return ws;
}

/** Resolves with the next `count` messages. */
function messages(ws: Socket, count: number): Promise<void> {
  let left = count;
  return new Promise((resolve) => {
    ws.on('message', function onMessage() {
      if (--left > 0) return;
      ws.off('message', onMessage);
      resolve();
    });
  });
}

describe('the tasks of the README of ws', () => {
  sameTrace('sends and receives text', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => {
      ws.on('error', console.error);
      ws.on('message', (data) => {
        scene.log('server', `received: ${String(data)}`);
        ws.send('something else');
      });
    });
    const ws = client(scene, 'client', urlOf(wss));
    ws.on('open', () => ws.send('something'));
    await messages(ws, 1);
    ws.close();
    await closed(ws);
  });

  sameTrace('sends binary data', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.on('message', (data, binary) => ws.send(data, { binary })));
    const ws = client(scene, 'client', urlOf(wss));
    ws.on('open', () => {
      const array = new Float32Array(5);
      for (let i = 0; i < array.length; ++i) array[i] = i / 2;
      ws.send(array);
      ws.send(array.buffer);
      ws.send(Buffer.from('buffer'));
    });
    await messages(ws, 3);
    for (const type of ['arraybuffer', 'fragments', 'nodebuffer'] as const) {
      ws.binaryType = type;
      ws.send(new Uint8Array([1, 2, 3]));
      await messages(ws, 1);
    }
    ws.close();
    await closed(ws);
  });

  for (const secure of [false, true]) {
    sameTrace(`serves on an external ${secure ? 'HTTPS' : 'HTTP'} server`, async (scene) => {
      const { key, cert } = await selfSigned();
      const server = secure ? https.createServer({ key, cert }) : createServer();
      const wss = new scene.ws.WebSocketServer({ server: server as Server });
      scene.cleanup(() => wss.close());
      wss.on('connection', (ws) => {
        ws.on('message', (data) => scene.log('server', `received: ${String(data)}`));
        ws.send('something');
      });
      const port = await listening(scene, server as Server);
      const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`;
      const ws = client(scene, 'client', url, { ca: cert, checkServerIdentity: () => undefined });
      await messages(ws, 1);
      ws.send('hello');
      ws.close(1000, 'done');
      await closed(ws);
    });
  }

  sameTrace('shares one HTTP server between several servers', async (scene) => {
    const server = createServer();
    const servers = new Map(
      ['/foo', '/bar'].map((path) => {
        const wss = new scene.ws.WebSocketServer({ noServer: true });
        wss.on('connection', (ws, request) => {
          ws.on('error', console.error);
          ws.send(`${path} got ${request.url}`);
        });
        return [path, wss] as const;
      }),
    );
    server.on('upgrade', (request, socket, head) => {
      const { pathname } = new URL(request.url!, 'wss://base.url');
      const wss = servers.get(pathname);
      if (wss === undefined) return void socket.destroy();
      wss.handleUpgrade(request, socket, head, (ws) => wss.emit('connection', ws, request));
    });
    const port = await listening(scene, server);
    for (const path of ['/foo', '/bar?a=b', '/other']) {
      const ws = client(scene, path, `ws://127.0.0.1:${port}${path}`);
      if (path !== '/other') {
        await messages(ws, 1);
        ws.close();
      }
      await closed(ws);
    }
  });

  sameTrace('authenticates a client', async (scene) => {
    const onSocketError = (error: Error): void => scene.log('server', 'socket', error.message);
    const authenticate = (
      request: IncomingMessage,
      next: (error: Error | undefined, user?: string) => void,
    ): void => {
      const { authorization = '' } = request.headers;
      const user = Buffer.from(authorization.slice('Basic '.length), 'base64').toString();
      setImmediate(() => (user === '' ? next(new Error('no user')) : next(undefined, user)));
    };
    const server = createServer();
    const wss = new scene.ws.WebSocketServer({ noServer: true });
    wss.on('connection', (ws: Socket, request: IncomingMessage, user: string) => {
      ws.on('error', console.error);
      ws.on('message', (data) => {
        scene.log('server', `received message ${String(data)} from ${user}, ${request.url}`);
        ws.close(4000, 'thanks');
      });
    });
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', onSocketError);
      authenticate(request, (error, user) => {
        if (error !== undefined || user === undefined) {
          socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n');
          socket.destroy();
          return;
        }
        socket.removeListener('error', onSocketError);
        wss.handleUpgrade(request, socket, head, (ws) => {
          wss.emit('connection', ws, request, user);
        });
      });
    });
    const port = await listening(scene, server);
    const refused = client(scene, 'refused', `ws://127.0.0.1:${port}/`);
    const asked = client(scene, 'asked', `ws://127.0.0.1:${port}/`);
    asked.on('unexpected-response', (_request, response) => {
      scene.log('asked', response.statusCode, response.statusMessage);
      asked.terminate();
    });
    const accepted = client(scene, 'accepted', `ws://user:pass@127.0.0.1:${port}/in`);
    accepted.on('open', () => accepted.send('hi'));
    await closed(refused, asked, accepted);
  });

  for (const itself of [true, false]) {
    sameTrace(`broadcasts to all clients, ${itself ? 'also' : 'not'} the sender`, async (scene) => {
      const wss = await scene.serve();
      wss.on('connection', (ws) => {
        ws.on('error', console.error);
        ws.on('message', (data, isBinary) => {
          for (const other of wss.clients) {
            if (!itself && other === ws) continue;
            if (other.readyState === scene.ws.OPEN) other.send(data, { binary: isBinary });
          }
        });
      });
      const names = ['first', 'second', 'third'];
      const all = names.map((name) => client(scene, name, urlOf(wss)));
      await Promise.all(all.map((ws) => once(ws, 'open')));
      while (wss.clients.size < all.length) await once(wss, 'connection');
      const arrived = all.slice(itself ? 0 : 1).map((ws) => messages(ws, 2));
      all[0]!.send('text');
      all[0]!.send(Buffer.from('bytes'));
      await Promise.all(arrived);
      for (const ws of all) ws.close();
      await closed(...all);
    });
  }

  sameTrace('measures the time of a round trip', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
    const ws = new scene.ws(urlOf(wss));
    scene.cleanup(() => ws.terminate());
    ws.on('error', console.error);
    ws.on('open', () => {
      scene.log('client', 'connected');
      ws.send(Date.now());
    });
    ws.on('close', () => scene.log('client', 'disconnected'));
    for (let i = 0; i < 3; i++) {
      const [data] = (await once(ws, 'message')) as [Buffer];
      const ms = Date.now() - Number(String(data));
      scene.log('client', 'a round trip', ms >= 0 && ms < 60_000);
      if (i < 2) ws.send(Date.now());
    }
    ws.close();
    await closed(ws);
  });

  sameTrace('pipes a connection as a stream of Node', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => {
      const duplex = scene.ws.createWebSocketStream(ws);
      duplex.pipe(duplex);
      duplex.on('error', console.error);
    });
    const ws = client(scene, 'client', urlOf(wss));
    const duplex = scene.ws.createWebSocketStream(ws, { encoding: 'utf8' });
    duplex.on('error', console.error);
    const [input, output] = [new PassThrough(), new PassThrough({ encoding: 'utf8' })];
    duplex.pipe(output);
    input.pipe(duplex);
    let text = '';
    output.on('data', (chunk: string) => {
      text += chunk;
      if (text.endsWith('end\n')) input.end();
    });
    input.write('some text\n');
    input.write(`${'long '.repeat(50_000)}end\n`);
    await finished(output);
    scene.log('output', text);
    await closed(ws);
  });

  sameTrace('knows the IP address of a client', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws, request) => {
      scene.log('server', request.socket.remoteAddress);
      const [first] = String(request.headers['x-forwarded-for']).split(',');
      scene.log('server', first!.trim());
      ws.close();
    });
    const headers = { 'X-Forwarded-For': '203.0.113.7, 10.0.0.1' };
    await closed(client(scene, 'client', urlOf(wss), { headers }));
  });

  sameTrace('closes broken connections by pings of the server', async (scene) => {
    const wss = await scene.serve();
    const alive = new WeakSet<object>();
    wss.on('connection', (ws) => {
      alive.add(ws);
      ws.on('error', console.error);
      ws.on('pong', (data) => {
        scene.log('server', 'pong', data);
        alive.add(ws);
      });
      ws.on('close', (code) => scene.log('server', 'close', code));
    });
    const check = (): void => {
      for (const ws of wss.clients) {
        if (!alive.delete(ws)) ws.terminate();
        else ws.ping();
      }
    };
    const well = client(scene, 'well', urlOf(wss));
    await once(well, 'open');
    const broken = client(scene, 'broken', urlOf(wss), { autoPong: false });
    await once(broken, 'open');
    while (wss.clients.size < 2) await once(wss, 'connection');
    const [server] = [...wss.clients];
    const pong = once(server!, 'pong');
    check();
    await pong;
    check();
    await closed(broken);
    well.close();
    await closed(well);
  });

  sameTrace('notices a dead server by the pings that are missing', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.ping('still here'));
    const ws = client(scene, 'client', urlOf(wss));
    let timer: NodeJS.Timeout | undefined;
    const heartbeat = (event: string, ms: number): void => {
      scene.log('client', event);
      clearTimeout(timer);
      timer = setTimeout(() => ws.terminate(), ms);
    };
    // The ping arrives behind the answer, on a busy machine later.
    ws.on('open', () => heartbeat('open', 60_000));
    ws.on('ping', (data) => heartbeat(`ping ${String(data)}`, 50));
    ws.on('close', () => clearTimeout(timer));
    await closed(ws);
  });

  sameTrace('compresses with the options of zlib', async (scene) => {
    const wss = await scene.serve({
      perMessageDeflate: {
        zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
        zlibInflateOptions: { chunkSize: 10 * 1024 },
        clientNoContextTakeover: true,
        serverNoContextTakeover: true,
        serverMaxWindowBits: 10,
        concurrencyLimit: 10,
        threshold: 1024,
      },
    });
    wss.on('connection', (ws) => ws.on('message', (data) => ws.send(String(data).repeat(10))));
    for (const perMessageDeflate of [true, false]) {
      const ws = client(scene, `client ${perMessageDeflate}`, urlOf(wss), { perMessageDeflate });
      await once(ws, 'open');
      scene.log(`client ${perMessageDeflate}`, ws.extensions);
      ws.send('a text that repeats itself, '.repeat(20));
      await messages(ws, 1);
      ws.close();
      await closed(ws);
    }
  });
});
