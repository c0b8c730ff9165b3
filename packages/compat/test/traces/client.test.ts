import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { describe } from 'vitest';
import { closed, portOf, type Scene, sameTrace, urlOf } from '../trace.ts';

const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

/** Connects to a server that answers with these bytes, and logs what happens. */
async function answered(
  scene: Scene,
  answer: string | ((key: string) => string),
  options: object = {},
  protocols: string[] = [],
): Promise<void> {
  const { url } = await scene.rawServer((request, socket) => {
    const key = /sec-websocket-key: (.*)\r/i.exec(request)![1]!;
    socket.end(typeof answer === 'string' ? answer : answer(key));
  });
  const client = scene.client(url, protocols, options);
  await closed(client);
}

/** An HTTP server that logs requests and answers them. */
async function website(
  scene: Scene,
  name: string,
  answer: (req: IncomingMessage, res: http.ServerResponse) => void,
): Promise<number> {
  const server = http.createServer((req, res) => {
    const { authorization, cookie, host, 'x-other': other } = req.headers;
    scene.log(
      name,
      req.method,
      req.url,
      authorization,
      cookie,
      other,
      host?.replace(/\d+$/, 'PORT'),
    );
    answer(req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scene.cleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('new WebSocket', () => {
  for (const url of [
    '',
    'foo',
    'ftp://localhost',
    'ws://',
    'ws://localhost/#fragment',
    'ws+unix:',
    'http+unix:/a.sock',
    'https://localhost/#x',
    'ws:///',
    42,
    {},
  ]) {
    sameTrace(`rejects the URL ${String(url)}`, async (scene) => {
      scene.attempt('client', 'new', () => new scene.ws(url as string));
    });
  }

  for (const protocols of [
    [''],
    ['a b'],
    ['a', 'a'],
    ['a,b'],
    'a b',
    [null],
    [1],
    'é',
    ['ok', ''],
  ]) {
    sameTrace(`rejects the subprotocols ${JSON.stringify(protocols)}`, async (scene) => {
      scene.attempt('client', 'new', () => new scene.ws('ws://localhost', protocols as string));
    });
  }

  for (const options of [{ protocolVersion: 1000 }, { protocolVersion: '13' }]) {
    sameTrace(`rejects ${JSON.stringify(options)}`, async (scene) => {
      scene.attempt('client', 'new', () => new scene.ws('ws://localhost', options as never));
    });
  }

  for (const [given, name] of [
    ['ws://127.0.0.1:PORT', 'a URL'],
    ['http://127.0.0.1:PORT/path?query=1', 'an http URL'],
    ['ws://user:pass@127.0.0.1:PORT/', 'user and password'],
    ['ws://a%40b:c%3Ad@127.0.0.1:PORT/', 'an escaped user'],
    ['ws://user@127.0.0.1:PORT/', 'a user only'],
    ['ws://a%zz:b@127.0.0.1:PORT/', 'a wrong escape'],
  ] as const) {
    for (const asObject of [false, true]) {
      sameTrace(`connects to ${name}${asObject ? ' as an object' : ''}`, async (scene) => {
        const wss = await scene.serve();
        wss.on('connection', (ws, req) => {
          const { authorization, ...headers } = req.headers;
          scene.log('server', req.url, authorization, Object.keys(headers).toSorted().join());
          ws.close();
        });
        const text = given.replace('PORT', String(portOf(wss)));
        const client = scene.client(asObject ? new URL(text) : text);
        scene.log('client', client.url, client.readyState);
        await closed(client);
      });
    }
  }

  sameTrace('sends its options', async (scene) => {
    const wss = await scene.serve({ handleProtocols: (offered: Set<string>) => [...offered][1] });
    wss.on('connection', (ws, req) => {
      const { 'sec-websocket-key': key, ...headers } = req.headers;
      scene.log('server', key?.length, JSON.stringify(headers), req.rawHeaders.length);
      ws.close();
    });
    const client = scene.client(urlOf(wss), ['one', 'two'], {
      origin: 'https://example.org',
      headers: { 'X-Custom': 'yes', Cookie: 'a=b' },
      perMessageDeflate: { threshold: 0, clientMaxWindowBits: 10, serverNoContextTakeover: true },
    });
    await once(client, 'open');
    scene.log('client', client.protocol, client.extensions, client.url);
    await closed(client);
  });

  for (const [name, ...args] of [
    ['a list', { protocols: ['a', 'b'] }],
    ['a string', { protocols: 'a' }],
    ['neither', { protocols: undefined }],
    ['an option and no argument', undefined, { protocols: ['a', 'b'] }],
    ['an option and an argument', 'b', { protocols: ['a'] }],
    ['an option and an empty list', [], { protocols: ['a'] }],
    ['null', { protocols: null }],
    ['an option twice', { protocols: ['a', 'a'] }],
  ] as const) {
    sameTrace(`takes protocols as an option: ${name}`, async (scene) => {
      const wss = await scene.serve();
      wss.on('connection', (ws, request) => {
        scene.log('server', request.headers['sec-websocket-protocol'], ws.protocol);
        ws.close();
      });
      const Client = scene.ws as unknown as new (
        ...all: unknown[]
      ) => InstanceType<typeof scene.ws>;
      scene.attempt(
        'client',
        'new',
        () => void new Client(urlOf(wss), ...args).on('close', () => {}),
      );
      const { length } = scene.trace['client'] ?? [];
      if (length === 1 && scene.trace['client']![0]!.includes('=>')) await once(wss, 'connection');
    });
  }

  for (const url of ['ws://a%20b:c%3Ad@', 'ws://%zz:%E0%A4%A@', 'ws://user@', 'ws://:pass@']) {
    sameTrace(`sends the credentials of ${url}`, async (scene) => {
      const wss = await scene.serve();
      wss.on('connection', (ws, request) => {
        scene.log('server', request.headers.authorization);
        ws.close();
      });
      await closed(scene.client(`${url}127.0.0.1:${portOf(wss)}`));
    });
  }

  sameTrace('takes options as the second argument', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws, req) => {
      scene.log('server', req.headers['x-custom']);
      ws.close();
    });
    await closed(scene.client(urlOf(wss), { headers: { 'X-Custom': 'yes' } }));
    await closed(scene.client(urlOf(wss), undefined, { headers: { 'X-Custom': 'no' } }));
    scene.attempt('client', 'null', () =>
      new scene.ws(urlOf(wss), null as never).on('error', () => {}),
    );
  });

  sameTrace('speaks version 8', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws, req) => {
      const { 'sec-websocket-origin': origin, 'sec-websocket-version': version } = req.headers;
      scene.log('server', origin, version);
      ws.close();
    });
    const options = { protocolVersion: 8, origin: 'https://example.org' };
    await closed(scene.client(urlOf(wss), options));
  });

  sameTrace('keeps the names of headers as they are', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws, { rawHeaders }) => {
      scene.log('server', ...rawHeaders.filter((_, i) => i % 2 === 0));
      ws.close();
    });
    for (const followRedirects of [false, true]) {
      const headers = { 'X-Name': 'a', COOKIE: 'b' };
      const options = { headers, followRedirects };
      await closed(scene.client(urlOf(wss), options));
    }
  });

  sameTrace('takes null for no headers', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.close());
    scene.attempt('client', 'new', () => {
      scene.client(urlOf(wss), { headers: null as never });
    });
    await once(wss, 'connection');
    await closed(...wss.clients);
  });

  sameTrace('connects to a Unix socket', async (scene) => {
    const path = `/tmp/ws-compat-${process.pid}-${Math.random().toString(36).slice(2)}.sock`;
    const server = http.createServer();
    const wss = new scene.ws.WebSocketServer({ server });
    wss.on('connection', (ws, req) => {
      scene.log('server', req.url, req.headers.host);
      ws.close();
    });
    server.listen(path);
    await once(server, 'listening');
    const client = new scene.ws(`ws+unix:${path}:/foo:1?bar=1:2`);
    scene.log('client', client.url.replace(path, 'PATH'));
    await closed(scene.watch('client', client));
    await closed(scene.client(`ws+unix:${path}`));
    wss.close();
    server.close();
  });

  sameTrace('uses an agent', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.close());
    const agent = new http.Agent();
    const { createConnection } = agent as never as {
      createConnection: (...args: unknown[]) => unknown;
    };
    (agent as never as { createConnection: unknown }).createConnection = (...args: unknown[]) => {
      scene.log('client', 'agent connects');
      return createConnection.apply(agent, args);
    };
    await closed(scene.client(urlOf(wss), { agent }));
  });

  for (const url of ['ws://[::1]', 'ws://u:p@localhost:1337/x?y', 'ws://localhost:80/', 'ws://h']) {
    sameTrace(`gives an agent the request for ${url}`, async (scene) => {
      const agent = new http.Agent();
      (agent as never as { addRequest: unknown }).addRequest = (
        request: http.ClientRequest,
        options: Record<string, unknown>,
      ) => {
        scene.log('agent', request.method, request.path, ...request.getRawHeaderNames());
        scene.log('agent', request.getHeader('host'), request.getHeader('authorization'));
        for (const name of ['host', 'port', 'path', 'auth', 'defaultPort', 'timeout']) {
          scene.log('agent', name, options[name]);
        }
      };
      const options = { agent, handshakeTimeout: 1000, origin: 'o', headers: { Cookie: 'x' } };
      const client = scene.client(url, ['a', 'b'], options);
      client.terminate();
      await closed(client);
    });
  }

  sameTrace('a request that the application destroys', async (scene) => {
    const { url } = await scene.rawServer(() => {});
    const client = scene.client(url);
    (client as never as { _req: http.ClientRequest })._req.destroy(new Error('mine'));
    await closed(client);
  });

  sameTrace('uses createConnection', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.close());
    const client = new scene.ws('ws://nowhere.invalid/path', {
      createConnection: ((options: { host: string; port: number; path: string }) => {
        scene.log('client', options.host, options.port, options.path);
        return net.connect(portOf(wss), '127.0.0.1');
      }) as never,
    });
    await closed(scene.watch('client', client));
  });

  sameTrace('calls finishRequest', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws, req) => {
      scene.log('server', req.headers['x-late']);
      ws.close();
    });
    const client: InstanceType<Scene['ws']> = new scene.ws(urlOf(wss), {
      finishRequest(request, ws) {
        scene.log('client', request.constructor.name, ws instanceof scene.ws);
        scene.log('client', 'this', 'finishRequest' in this);
        setImmediate(() => {
          request.setHeader('X-Late', 'yes');
          request.end();
        });
      },
    });
    await closed(scene.watch('client', client));
  });

  sameTrace('masks with generateMask', async (scene) => {
    const wss = await scene.serve();
    const received: Buffer[] = [];
    wss.on('connection', (ws) => {
      (ws as never as { _socket: net.Socket })._socket.on('data', (chunk: Buffer) => {
        received.push(Buffer.from(chunk));
      });
    });
    const client = scene.client(urlOf(wss), {
      generateMask(mask: Buffer) {
        scene.log('client', 'mask', mask.length);
        mask.fill(0);
      },
    });
    await once(client, 'open');
    client.send('hello');
    client.ping('x');
    client.send('x'.repeat(300));
    client.close();
    await closed(client);
    scene.log('server', Buffer.concat(received).length);
  });
});

describe('a handshake that fails', () => {
  const start = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n';
  const answers: [string, string][] = [
    ['401', 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n'],
    ['200', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    [
      '302 without followRedirects',
      'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n',
    ],
    ['garbage', 'garbage\r\n\r\n'],
    ['nothing', ''],
    ['no accept', `${start}Upgrade: websocket\r\n\r\n`],
    ['a wrong accept', `${start}Upgrade: websocket\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`],
    ['another protocol', `${start}Upgrade: foo\r\n\r\n`],
    ['no Upgrade', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
  ];
  for (const [name, answer] of answers) {
    sameTrace(name, async (scene) => {
      await answered(scene, answer);
    });
  }

  for (const [name, field, options, protocols] of [
    ['an unasked subprotocol', 'Sec-WebSocket-Protocol: foo', {}, []],
    ['another subprotocol', 'Sec-WebSocket-Protocol: foo', {}, ['bar']],
    ['no subprotocol', 'X: y', {}, ['bar']],
    ['an unasked extension', 'Sec-WebSocket-Extensions: foo', { perMessageDeflate: false }, []],
    ['another extension', 'Sec-WebSocket-Extensions: foo', {}, []],
    ['two extensions', 'Sec-WebSocket-Extensions: permessage-deflate, foo', {}, []],
    ['a bad extension', 'Sec-WebSocket-Extensions: foo;=bar', {}, []],
    ['a bad parameter', 'Sec-WebSocket-Extensions: permessage-deflate; x', {}, []],
    [
      'too many bits',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12',
      { perMessageDeflate: { clientMaxWindowBits: 10 } },
      [],
    ],
  ] as const) {
    sameTrace(name, async (scene) => {
      const { createHash } = await import('node:crypto');
      const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
      const digest = (key: string): string =>
        createHash('sha1')
          .update(key + guid)
          .digest('base64');
      const answer = (key: string): string =>
        `${start}Upgrade: websocket\r\nSec-WebSocket-Accept: ${digest(key)}\r\n${field}\r\n\r\n`;
      await answered(scene, answer, options, [...protocols]);
    });
  }

  sameTrace('a refused connection', async (scene) => {
    const client = scene.client('ws://127.0.0.1:1');
    await closed(client);
  });

  sameTrace('handshakeTimeout', async (scene) => {
    const { url } = await scene.rawServer(() => {});
    const client = scene.client(url, { handshakeTimeout: 20 });
    await closed(client);
  });

  for (const method of ['close', 'terminate'] as const) {
    sameTrace(`${method} at once`, async (scene) => {
      const { url } = await scene.rawServer(() => {});
      const client = scene.client(url);
      scene.attempt('client', method, () => client[method]());
      scene.log('client', client.readyState);
      scene.attempt('client', method, () => client[method]());
      await closed(client);
    });

    sameTrace(`${method} in a listener of upgrade`, async (scene) => {
      const wss = await scene.serve();
      const client = scene.client(urlOf(wss));
      client.on('upgrade', () => client[method]());
      await closed(client);
    });

    sameTrace(`${method} in a listener of open`, async (scene) => {
      const wss = await scene.serve();
      const client = scene.client(urlOf(wss));
      client.on('open', () => client[method]());
      await closed(client);
    });
  }

  for (const way of ['close', 'terminate', 'destroy'] as const) {
    sameTrace(`${way} in a listener of unexpected-response`, async (scene) => {
      const { url } = await scene.rawServer((_request, socket) => {
        socket.end('HTTP/1.1 401 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye');
      });
      const client = scene.client(url);
      client.on('unexpected-response', (request, response) => {
        scene.log(
          'client',
          response.statusCode,
          (client as never as { _req: unknown })._req === request,
        );
        if (way === 'destroy') request.destroy(new Error('mine'));
        else client[way]();
        scene.log('client', 'state', client.readyState);
      });
      // A request that was answered reports no error: the application ends the connection then.
      if (way === 'destroy') await once(client, 'unexpected-response');
      else await closed(client);
    });
  }

  sameTrace('unexpected-response has the request and the response', async (scene) => {
    const port = await website(scene, 'server', (_req, res) => {
      res.writeHead(418, { 'X-Tea': 'yes' });
      res.end('short and stout');
    });
    const client = scene.client(`ws://127.0.0.1:${port}`);
    client.on('unexpected-response', (request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += String(chunk);
      });
      response.on('end', () => {
        scene.log('client', response.statusCode, response.headers['x-tea'], body);
        request.destroy();
        client.terminate();
      });
    });
    await closed(client);
  });
});

/** A field of ws that programs look at. */
function redirectsOf(client: unknown): unknown {
  return (client as { _redirects?: number })._redirects;
}

describe('followRedirects', () => {
  sameTrace('follows to another path', async (scene) => {
    const wss = new scene.ws.WebSocketServer({ noServer: true });
    const server = http.createServer();
    server.on('upgrade', (req, socket, head) => {
      scene.log('server', req.url, req.headers.authorization, req.headers.cookie);
      if (req.url !== '/end') {
        socket.end('HTTP/1.1 302 Found\r\nLocation: /end\r\n\r\n');
        return;
      }
      wss.handleUpgrade(req, socket, head, (ws) => ws.close());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = scene.client(`ws://user:pass@127.0.0.1:${port}/start`, {
      followRedirects: true,
      headers: { Cookie: 'a=b' },
    });
    await closed(client);
    scene.log('client', client.url, redirectsOf(client));
    server.close();
    wss.close();
  });

  sameTrace('stops after maxRedirects', async (scene) => {
    const port = await website(scene, 'server', (_req, res) => {
      res.writeHead(302, { Location: '/again' });
      res.end();
    });
    const options = { followRedirects: true, maxRedirects: 2 };
    const client = scene.client(`ws://127.0.0.1:${port}/`, options);
    await closed(client);
    scene.log('client', redirectsOf(client));
  });

  for (const location of ['http://', 'ftp://127.0.0.1/', 'ws://127.0.0.1/#x', 'https://x:y@h/#']) {
    sameTrace(`rejects the location ${location}`, async (scene) => {
      const port = await website(scene, 'server', (_req, res) => {
        res.writeHead(302, { Location: location });
        res.end();
      });
      const client = new scene.ws(`ws://127.0.0.1:${port}/`, { followRedirects: true });
      client.on('error', () => scene.log('client', 'url', client.url));
      scene.watch('client', client);
      await closed(client);
    });
  }

  const SECRETS = {
    Authorization: 'Basic Zm9vOmJhcg==',
    Cookie: 'secret=1',
    Host: 'named.example',
    'X-Other': 'public',
  };
  for (const [name, url, options, listens] of [
    ['headers', 'ws://127.0.0.1:PORT/', { headers: SECRETS }, false],
    ['auth of the URL', 'ws://user:pass@127.0.0.1:PORT/', {}, false],
    ['the option auth', 'ws://127.0.0.1:PORT/', { auth: 'user:pass' }, false],
    ['headers and a listener', 'ws://127.0.0.1:PORT/', { headers: SECRETS }, true],
    ['auth of the URL and a listener', 'ws://user:pass@127.0.0.1:PORT/', {}, true],
    ['header and URL', 'ws://user:pass@127.0.0.1:PORT/', { headers: SECRETS }, false],
  ] as const) {
    for (const way of ['another host', 'the same host', 'another user', 'there and back']) {
      sameTrace(`${name}, to ${way}`, async (scene) => {
        let first = 0;
        const other = await website(scene, 'other', (_req, res) => {
          if (way === 'there and back') {
            res.writeHead(302, { Location: `ws://127.0.0.1:${first}/end` });
          } else res.writeHead(403);
          res.end();
        });
        first = await website(scene, 'first', (req, res) => {
          const locations: Record<string, string> = {
            'another host': `ws://127.0.0.1:${other}/x`,
            'the same host': '/end',
            'another user': `ws://other:word@127.0.0.1:${first}/end`,
            'there and back': `ws://127.0.0.1:${other}/x`,
          };
          if (req.url === '/end') res.writeHead(403);
          else res.writeHead(307, { Location: locations[way] });
          res.end();
        });
        const client = scene.client(url.replace('PORT', String(first)), {
          followRedirects: true,
          ...options,
        } as never);
        if (listens) client.on('redirect', (to) => scene.log('client', 'listener', to));
        await closed(client);
      });
    }
  }

  sameTrace('a listener may remove credentials', async (scene) => {
    const other = await website(scene, 'other', (_req, res) => {
      res.writeHead(403);
      res.end();
    });
    const first = await website(scene, 'first', (_req, res) => {
      res.writeHead(307, { Location: `ws://127.0.0.1:${other}/x` });
      res.end();
    });
    const client = scene.client(`ws://127.0.0.1:${first}/`, {
      followRedirects: true,
      headers: { Authorization: 'secret', Cookie: 'secret=1' },
    });
    client.on('redirect', (_to, request) => {
      request.removeHeader('authorization');
      request.removeHeader('cookie');
    });
    await closed(client);
  });

  sameTrace('close in a listener', async (scene) => {
    const port = await website(scene, 'server', (_req, res) => {
      res.writeHead(302, { Location: '/again' });
      res.end();
    });
    const client = scene.client(`ws://127.0.0.1:${port}/`, { followRedirects: true });
    client.on('redirect', () => client.close());
    await closed(client);
  });
});
