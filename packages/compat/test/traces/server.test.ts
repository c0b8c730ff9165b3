import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { describe } from 'vitest';
import { closed, portOf, type Scene, sameTrace, upgradeRequest, urlOf } from '../trace.ts';

type Options = Record<string, unknown>;

/** Sends raw bytes to a server and logs the answer, without its date. */
async function ask(scene: Scene, port: number, request: string): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  scene.cleanup(() => socket.destroy());
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += String(chunk);
    if (answer.startsWith('HTTP/1.1 101')) socket.end();
  });
  socket.on('error', () => {});
  socket.write(request);
  await once(socket, 'close');
  scene.log('answer', answer.replaceAll(/Date: [^\r]*/g, 'Date').replaceAll('\r\n', '|'));
}

/** A request with some lines replaced; undefined removes a line. */
function request(
  changes: Record<string, string | undefined> = {},
  first = 'GET / HTTP/1.1',
): string {
  const fields: Record<string, string | undefined> = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `${[first, ...lines].join('\r\n')}\r\n\r\n`;
}

describe('new WebSocketServer', () => {
  const wrong: [string, Options | undefined][] = [
    ['no options', undefined],
    ['no mode', {}],
    ['two modes', { port: 0, noServer: true }],
    ['server and noServer', { server: new http.Server(), noServer: true }],
    ['port and server', { port: 0, server: new http.Server() }],
  ];
  for (const [name, options] of wrong) {
    sameTrace(`rejects ${name}`, async (scene) => {
      scene.attempt('server', 'new', () => new scene.ws.WebSocketServer(options as never));
    });
  }

  sameTrace('has the defaults of ws in options', async (scene) => {
    const wss = new scene.ws.WebSocketServer({ noServer: true });
    const { WebSocket: ignored, ...options } = wss.options as Options;
    for (const name of Object.keys(options).toSorted()) scene.log('server', name, options[name]);
    scene.log('server', ignored === scene.ws, wss.clients.size);
    const others = new scene.ws.WebSocketServer({
      noServer: true,
      perMessageDeflate: true,
      clientTracking: false,
    });
    scene.log('server', JSON.stringify(others.options.perMessageDeflate), others.clients);
  });

  sameTrace('calls its callback and emits listening', async (scene) => {
    const wss = await new Promise<InstanceType<Scene['ws']['WebSocketServer']>>((resolve) => {
      const server = scene.watchServer(
        'server',
        new scene.ws.WebSocketServer({ port: 0, host: '127.0.0.1' }, () => {
          scene.log('server', 'callback');
          resolve(server);
        }),
      );
    });
    scene.log('server', typeof (wss.address() as AddressInfo).port, wss.options.port);
    await new Promise((resolve) => wss.close(resolve));
    scene.attempt('server', 'address', () => wss.address());
  });

  sameTrace('emits an error of the HTTP server', async (scene) => {
    const first = await scene.serve();
    const second = scene.watchServer(
      'server',
      new scene.ws.WebSocketServer({ port: portOf(first), host: '127.0.0.1' }),
    );
    const error = await new Promise((resolve) => void second.on('error', resolve));
    scene.log('server', error);
  });

  sameTrace('uses an HTTP server', async (scene) => {
    const server = http.createServer();
    const wss = scene.watchServer('server', new scene.ws.WebSocketServer({ server }));
    wss.on('connection', (ws) => ws.on('error', () => {}));
    server.listen(0, '127.0.0.1');
    await once(wss, 'listening');
    const client = scene.client(urlOf(wss));
    await once(client, 'open');
    client.close();
    await closed(client);
    await new Promise((resolve) => wss.close(resolve));
    scene.log('server', 'listens', server.listening, server.listenerCount('upgrade'));
    await new Promise((resolve) => server.close(resolve));
  });

  sameTrace('without a server: address throws, handleUpgrade accepts', async (scene) => {
    const wss = scene.watchServer('server', new scene.ws.WebSocketServer({ noServer: true }));
    scene.attempt('server', 'address', () => wss.address());
    const server = http.createServer();
    server.on('upgrade', (req, socket, head) => {
      wss.handleUpgrade(req, socket, head, (ws, got) => {
        scene.log('server', 'callback', got === req, ws.readyState, ws.url, ws.protocol);
        scene.attempt('server', 'again', () => wss.handleUpgrade(req, socket, head, () => {}));
        ws.on('error', () => {});
        ws.send('hello');
        ws.close();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = scene.client(`ws://127.0.0.1:${port}`);
    await closed(client);
    server.close();
    wss.close();
    await once(wss, 'close');
  });
});

describe('the request', () => {
  const requests: [string, string][] = [
    ['valid', request()],
    ['no Upgrade field', request({ Upgrade: undefined, Connection: 'close' })],
    ['another protocol', request({ Upgrade: 'h2c' })],
    ['WebSocket in capitals', request({ Upgrade: 'WebSocket' })],
    ['POST', request({}, 'POST / HTTP/1.1')],
    ['no key', request({ 'Sec-WebSocket-Key': undefined })],
    ['a short key', request({ 'Sec-WebSocket-Key': 'AAAA' })],
    ['no version', request({ 'Sec-WebSocket-Version': undefined })],
    ['version 12', request({ 'Sec-WebSocket-Version': '12' })],
    ['version 8', request({ 'Sec-WebSocket-Version': '8' })],
    ['an empty subprotocol', request({ 'Sec-WebSocket-Protocol': '' })],
    ['a subprotocol twice', request({ 'Sec-WebSocket-Protocol': 'a,b,a' })],
    ['a bad subprotocol', request({ 'Sec-WebSocket-Protocol': 'a,,b' })],
    ['subprotocols', request({ 'Sec-WebSocket-Protocol': 'a, b' })],
    ['a bad extension', request({ 'Sec-WebSocket-Extensions': 'permessage-deflate; ' })],
    ['a plain GET', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'],
  ];
  for (const [name, text] of requests) {
    sameTrace(`${name}: the answer`, async (scene) => {
      const wss = scene.watchServer('server', await scene.serve());
      await ask(scene, portOf(wss), text);
    });

    sameTrace(`${name}: wsClientError`, async (scene) => {
      const wss = await scene.serve({ perMessageDeflate: true });
      wss.on('wsClientError', (error, socket, req) => {
        scene.log('server', 'wsClientError', error, req.method);
        socket.end('HTTP/1.1 400 Mine\r\n\r\n');
      });
      await ask(scene, portOf(wss), text);
    });
  }

  for (const [path, url] of [
    ['/foo', '/foo'],
    ['/foo', '/foo?bar=1'],
    ['/foo', '/'],
    ['/foo', '/foo/'],
    [undefined, '/any'],
  ]) {
    sameTrace(`path ${path} and ${url}`, async (scene) => {
      const wss = scene.watchServer('server', await scene.serve({ path }));
      await ask(scene, portOf(wss), request({}, `GET ${url} HTTP/1.1`));
    });
  }

  sameTrace('shouldHandle may be replaced', async (scene) => {
    const wss = await scene.serve();
    wss.shouldHandle = (req) => req.url === '/yes';
    await ask(scene, portOf(wss), request({}, 'GET /yes HTTP/1.1'));
    await ask(scene, portOf(wss), request({}, 'GET /no HTTP/1.1'));
  });

  sameTrace('headers may be changed', async (scene) => {
    const wss = scene.watchServer('server', await scene.serve());
    wss.on('headers', (headers, req) => {
      scene.log('server', req.url);
      headers.push('X-Extra: yes');
    });
    await ask(scene, portOf(wss), request());
  });

  sameTrace('frames may come with the request', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => {
      ws.on('error', () => {});
      scene.watch('server', ws);
    });
    const socket = net.connect(portOf(wss), '127.0.0.1');
    scene.cleanup(() => socket.destroy());
    socket.resume();
    const early = Buffer.from('818500000000776f726c648880 00000000'.replaceAll(' ', ''), 'hex');
    socket.write(Buffer.concat([Buffer.from(upgradeRequest()), early]));
    const [ws] = (await once(wss, 'connection')) as [InstanceType<Scene['ws']>];
    await closed(ws);
  });
});

describe('verifyClient', () => {
  const verifiers: [string, (scene: Scene) => unknown][] = [
    ['accepts', () => () => true],
    ['refuses', () => () => false],
    [
      'gets the facts of the request',
      (scene) => (info: { origin?: string; secure: boolean; req: http.IncomingMessage }) => {
        scene.log('server', info.origin ?? 'none', info.secure, info.req.url);
        return true;
      },
    ],
    ['accepts later', () => (_: unknown, done: (ok: boolean) => void) => setImmediate(done, true)],
    ['refuses later', () => (_: unknown, done: (ok: boolean) => void) => setImmediate(done, false)],
    [
      'refuses with a status',
      () => (_: unknown, done: (...args: unknown[]) => void) =>
        setImmediate(done, false, 404, 'Gone fishing', { 'Retry-After': 120 }),
    ],
    [
      'refuses with a status and no text',
      () => (_: unknown, done: (...args: unknown[]) => void) =>
        setImmediate(done, false, 403, null),
    ],
    [
      'refuses with a status that HTTP does not have',
      (scene) => (_: unknown, done: (...args: unknown[]) => void) => {
        scene.attempt('server', 'refuse', () => done(false, 999));
        done(false);
      },
    ],
    [
      'is called on the options',
      (scene) =>
        function verify(this: Options) {
          scene.log('server', 'verifyClient' in this);
          return true;
        },
    ],
    [
      'refuses with a status only',
      () => (_: unknown, done: (...args: unknown[]) => void) => done(false, 503),
    ],
  ];
  for (const [name, verify] of verifiers) {
    sameTrace(name, async (scene) => {
      const wss = scene.watchServer('server', await scene.serve({ verifyClient: verify(scene) }));
      await ask(scene, portOf(wss), request({ Origin: 'https://example.org' }));
    });
  }

  sameTrace('reads the origin of version 8', async (scene) => {
    const wss = await scene.serve({
      verifyClient: ({ origin }: { origin: string }) => {
        scene.log('server', origin);
        return false;
      },
    });
    const fields = { 'Sec-WebSocket-Version': '8', 'Sec-WebSocket-Origin': 'https://old.example' };
    await ask(scene, portOf(wss), request(fields));
  });

  sameTrace('answers 503 after close', async (scene) => {
    let verified = (_ok: boolean): void => {};
    const wss = scene.watchServer(
      'server',
      await scene.serve({
        verifyClient: (_: unknown, done: (ok: boolean) => void) => {
          verified = done;
          wss.close();
          setImmediate(() => verified(true));
        },
      }),
    );
    await ask(scene, portOf(wss), request());
  });
});

describe('handleProtocols', () => {
  for (const [name, choose] of [
    ['the second', (offered: Set<string>) => [...offered][1]],
    ['none', () => false],
    ['an empty one', () => ''],
    ['an unoffered one', () => 'other'],
  ] as const) {
    sameTrace(`chooses ${name}`, async (scene) => {
      const wss = await scene.serve({
        handleProtocols: (offered: Set<string>, req: http.IncomingMessage) => {
          scene.log('server', [...offered], req.url);
          return choose(offered);
        },
      });
      wss.on('connection', (ws) => scene.log('server', 'protocol', ws.protocol));
      await ask(scene, portOf(wss), request({ 'Sec-WebSocket-Protocol': 'one, two' }));
      await ask(scene, portOf(wss), request());
    });
  }
});

describe('close', () => {
  sameTrace('waits for the connections of its own server', async (scene) => {
    const { server, client, wss } = await scene.pair();
    scene.watchServer('wss', wss);
    wss.close(scene.callback('wss', 'close'));
    scene.log('wss', wss.address());
    await new Promise(setImmediate);
    scene.log('wss', 'open', server.readyState);
    client.close();
    await Promise.all([closed(server, client), once(wss, 'close')]);
    wss.close(scene.callback('wss', 'close again'));
    await once(wss, 'close');
  });

  sameTrace('twice', async (scene) => {
    const wss = scene.watchServer('wss', await scene.serve());
    wss.close(scene.callback('wss', 'first'));
    wss.close(scene.callback('wss', 'second'));
    await once(wss, 'close');
  });

  for (const clientTracking of [true, false]) {
    sameTrace(`of a foreign server, clientTracking ${clientTracking}`, async (scene) => {
      const server = http.createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const wss = scene.watchServer(
        'wss',
        new scene.ws.WebSocketServer({ server, clientTracking }),
      );
      const client = scene.client(urlOf(wss));
      const [[accepted]] = await Promise.all([once(wss, 'connection'), once(client, 'open')]);
      scene.log('wss', wss.clients?.size, 'clients' in wss);
      wss.close(scene.callback('wss', 'close'));
      await new Promise(setImmediate);
      scene.log('wss', 'still open');
      client.close();
      await closed(client, accepted);
      await new Promise(setImmediate);
      server.close();
    });
  }

  sameTrace('refuses later requests', async (scene) => {
    const wss = new scene.ws.WebSocketServer({ noServer: true });
    const server = http.createServer();
    server.on('upgrade', (req, socket, head) => {
      wss.handleUpgrade(req, socket, head, () => scene.log('server', 'accepted'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    wss.close();
    await ask(scene, (server.address() as AddressInfo).port, request());
    server.close();
  });
});

describe('clients', () => {
  sameTrace('has the open connections', async (scene) => {
    const { server, client, wss } = await scene.pair();
    scene.log('wss', wss.clients.size, wss.clients.has(server));
    client.close();
    await closed(client, server);
    scene.log('wss', wss.clients.size);
  });
});

describe('WebSocket', () => {
  sameTrace('is the class of connections', async (scene) => {
    class Mine extends scene.ws {
      greet(): string {
        return `hello ${this.readyState}`;
      }
    }
    const wss = await scene.serve({ WebSocket: Mine });
    wss.on('connection', (ws) => {
      scene.log('server', ws instanceof Mine, (ws as Mine).greet(), ws.constructor.name);
      ws.close();
    });
    const client = scene.watch('client', new Mine(urlOf(wss)));
    scene.log('client', client.greet());
    await closed(client);
  });
});
