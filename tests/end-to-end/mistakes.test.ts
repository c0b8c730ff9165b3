import { once } from 'node:events';
import { createServer, type Server as HttpServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, Socket } from 'node:net';
import { Endpoint } from '@ws/codec';
import { Conn, connPair } from '@ws/conn';
import { type ClientConn, Dialer, dial, ReconnectingConn, reconnecting } from '@ws/node-client';
import { broadcast, type ConnHandler, type ServeOptions, serve, Upgrader } from '@ws/node-server';
import { newSelfSigned, nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

// What a developer sees after a mistake. Each row makes one mistake. The message says what happened
// and what to do. The stack names the line of the caller, which is in this file.
const HERE = /\bmistakes\.test\.ts:\d+/;

interface Mistake {
  readonly mistake: string;
  readonly make: () => unknown;
  readonly says: string;
  /** Not an argument: the error comes with the state of the connection. */
  readonly isLater?: boolean;
}

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const nothing: ConnHandler<Any> = () => {};
const serveWrongly = (options: Any, handler: Any = nothing): unknown => serve(options, handler);
const conn = (): Any => connPair()[0];

function reconnectingConn(): Any {
  const live = new ReconnectingConn('ws://127.0.0.1:9', { report() {} });
  whenOver(() => live.close());
  return live;
}

async function served(
  options: ServeOptions<Any>,
  handler: ConnHandler<Any> | Record<string, ConnHandler<Any>> = nothing,
): Promise<string> {
  const server = await serve({ host: '127.0.0.1', ...options }, handler as ConnHandler<Any>);
  whenOver(() => server.close({ timeout: 1 }));
  return server.url;
}

async function listening(server: Server | HttpServer): Promise<string> {
  whenOver(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function dialed(url: string, options: Any = {}): Promise<ClientConn> {
  const client = await dial(url, options);
  whenOver(() => client.terminate());
  return client;
}

/** A certificate, and a key that does not belong to it. */
async function keyOfAnother(): Promise<{ key: string; cert: string }> {
  const { cert } = await selfSigned();
  const { key } = await newSelfSigned();
  return { key, cert };
}

const wrongArguments: readonly Mistake[] = [
  {
    mistake: 'a URL without a scheme',
    make: () => dial('localhost:8080'),
    says: 'it has no scheme; write ws://localhost:8080',
  },
  {
    mistake: 'a password in the URL',
    make: () => dial('ws://me:secret@127.0.0.1:9'),
    says: 'send it with the option headers: { Authorization }',
  },
  {
    mistake: 'subprotocols as in browsers',
    make: () => dial('ws://127.0.0.1:9', ['chat'] as Any),
    says: 'the second argument has the options; write { subprotocols: [...] }',
  },
  {
    mistake: 'an option of the Dialer in one of its dials',
    make: () => new Dialer().dial('ws://127.0.0.1:9', { compression: true } as Any),
    says: 'unknown option compression; it is an option of new Dialer()',
  },
  {
    mistake: 'an option of reconnecting in a dial',
    make: () => dial('ws://127.0.0.1:9', { minDelay: 100 } as Any),
    says: 'unknown option minDelay; it is an option of reconnecting',
  },
  {
    mistake: 'an option of ws in a dial',
    make: () => dial('ws://127.0.0.1:9', { maxPayload: 1 } as Any),
    says: 'unknown option maxPayload; use readLimit',
  },
  {
    mistake: 'a URL without a colon',
    make: () => dial('wss//localhost:8080/chat'),
    says: 'it has no scheme; write wss://localhost:8080',
  },
  {
    mistake: 'a function as the headers of a dial',
    make: () => dial('ws://127.0.0.1:9', { headers: (() => ({})) as Any }),
    says: 'headers: expected an object or pairs, got function; reconnecting and ReconnectingConn take a function',
  },
  {
    mistake: 'a text as the headers of a dial',
    make: () => dial('ws://127.0.0.1:9', { headers: 'X-A: 1' as Any }),
    says: 'headers: expected an object or pairs, got string',
  },
  ...(
    [
      ['reconnect', 'a ReconnectingConn dials again'],
      ['token', 'use headers: { Authorization }'],
    ] as const
  ).map(([name, cure]) => ({
    mistake: `the option ${name} of a dial`,
    make: () => dial('ws://127.0.0.1:9', { [name]: true }),
    says: `unknown option ${name}; ${cure}`,
  })),
  ...(
    [
      ['maxRetries', 'use retry'],
      ['reconnectInterval', 'use minDelay'],
    ] as const
  ).map(([name, cure]) => ({
    mistake: `the option ${name} of reconnecting`,
    make: () => reconnecting('ws://127.0.0.1:9', { [name]: 5 }),
    says: `unknown option ${name}; ${cure}`,
  })),
  {
    mistake: 'a listener for messages of a ReconnectingConn',
    make: () => reconnectingConn().on('message', nothing),
    says: "expected 'open' or 'close', got message; read with receive(handler) or for await",
  },
  {
    mistake: 'the handler of reconnecting as its options',
    make: () => reconnecting('ws://127.0.0.1:9', nothing as Any),
    says: 'reconnecting: expected an object of options, got function; write reconnecting(url, {}, handler)',
  },
  {
    mistake: 'a header of the handshake',
    make: () => dial('ws://127.0.0.1:9', { headers: { 'Sec-WebSocket-Key': 'x' } }),
    says: "Sec-WebSocket-Key is the handshake's own and cannot be set",
  },
  {
    mistake: 'the result of a dial taken apart',
    isLater: true,
    make: async () => {
      const { conn: taken } = (await dialed(await served({}))) as Any;
      return taken;
    },
    says: 'dial returns the connection itself; write: const conn = await dial(url)',
  },
  {
    mistake: 'an allowed origin with a slash',
    make: () => serveWrongly({ allowedOrigins: ['http://localhost:5173/'] }),
    says: 'an origin has no path; write http://localhost:5173',
  },
  {
    mistake: 'an allowed origin without a scheme',
    make: () => serveWrongly({ allowedOrigins: ['localhost:5173'] }),
    says: 'got localhost:5173; an origin starts with its scheme',
  },
  {
    mistake: 'every origin',
    make: () => serveWrongly({ allowedOrigins: ['*'] }),
    says: 'got *; to admit every page set checkOrigin: () => true',
  },
  {
    mistake: 'a port that is a string',
    make: () => serveWrongly({ port: '8080' }),
    says: 'port: expected a number, got string',
  },
  {
    mistake: 'a port that is too high',
    make: () => serveWrongly({ port: 99_999 }),
    says: 'port: expected 0 to 65535, got 99999',
  },
  {
    mistake: 'a port that is in use',
    isLater: true,
    make: async () => {
      const { port } = new URL(await served({}));
      await serve({ host: '127.0.0.1', port: Number(port) }, nothing);
    },
    says: 'is in use; end the process that listens there, or choose another',
  },
  {
    mistake: 'a heartbeat that is a boolean',
    make: () => serveWrongly({ heartbeat: true }),
    says: 'heartbeat: expected false or { interval, timeout }, got boolean',
  },
  {
    mistake: 'a port instead of the options',
    make: () => serveWrongly(8080),
    says: 'serve: expected an object of options, got number; write serve({ port: 8080 }, handler)',
  },
  {
    mistake: 'a port that is a string instead of the options',
    make: () => serveWrongly('8080'),
    says: 'serve: expected an object of options, got string; write serve({ port: 8080 }, handler)',
  },
  {
    mistake: 'the handler as the first argument',
    make: () => (serve as Any)(nothing),
    says: 'serve: the options come first; write serve({ port: 8080 }, handler)',
  },
  {
    mistake: 'a server instead of the options',
    make: () => serveWrongly(createServer()),
    says: 'serve: expected an object of options, got a server; write { server }',
  },
  {
    mistake: 'the URL of a server that does not listen yet',
    make: async () => {
      const server = await serve({ server: createServer() }, nothing);
      await dial(server.url);
    },
    says: 'malformed WebSocket URL: it is empty; server.url is empty until the server listens',
  },
  {
    mistake: 'no handler',
    make: () => serveWrongly({}, null),
    says: 'handler: expected a function, or routes by path, got null',
  },
  {
    mistake: 'the app of Express as the server',
    make: () => serveWrongly({ server: () => {} }),
    says: 'got function; pass what app.listen() returns',
  },
  {
    mistake: 'a route without a slash',
    make: () => serveWrongly({}, { chat: nothing }),
    says: '"chat" does not start with a slash; write "/chat"',
  },
  ...(
    [
      ['ssl', 'use tls'],
      ['onConnection', 'the handler is a separate argument, after the options'],
      ['maxPayloadLength', 'use readLimit'],
      ['logger', 'use report'],
    ] as const
  ).map(([name, cure]) => ({
    mistake: `the option ${name} of serve`,
    make: () => serveWrongly({ [name]: nothing }),
    says: `serve: unknown option ${name}; ${cure}`,
  })),
  {
    mistake: 'a URL as the host',
    make: () => serveWrongly({ host: 'http://localhost' }),
    says: 'host: expected a name or an address without a scheme, such as 127.0.0.1, got "http://localhost"',
  },
  {
    mistake: 'a wildcard as a route',
    make: () => serveWrongly({}, { '/chat/*': nothing }),
    says: 'routes: "/chat/*" has the segment "*": it is no wildcard; write a parameter, such as :name',
  },
  {
    mistake: 'a route with a query',
    make: () => serveWrongly({}, { '/chat?x': nothing }),
    says: 'has the segment "chat?x": a route has no query; read context.query',
  },
  {
    mistake: 'the port of a server that listens',
    isLater: true,
    make: async () => {
      const http = createServer();
      await listening(http);
      await serve({ server: http, port: 0 }, nothing);
    },
    says: 'server: it is already listening; omit port, host, socketPath and listen',
  },
  {
    mistake: 'listen of the result of serve',
    isLater: true,
    make: async () => {
      const server: Any = await serve({ host: '127.0.0.1' }, nothing);
      whenOver(() => server.close());
      server.listen(8080);
    },
    says: 'listen: it listens already; port is an option of serve',
  },
  {
    mistake: 'upgrade without its Upgrader as a listener',
    isLater: true,
    make: () => {
      const upgrader: Any = new Upgrader();
      return upgrader.upgrade.call(createServer(), {}, new Socket(), Buffer.alloc(0));
    },
    says: 'upgrade: lost its Upgrader; add upgrader.handler(handler) as the listener',
  },
  {
    mistake: 'a server instead of its connections',
    make: () => broadcast({} as Any, 'x'),
    says: 'broadcast: expected Conns, such as server.connections, got Object',
  },
  {
    mistake: 'TLS without a certificate',
    make: () => serveWrongly({ tls: {} }),
    says: 'tls: has no certificate; set key and cert',
  },
  {
    mistake: 'the path of a certificate instead of its text',
    make: () => serveWrongly({ tls: { key: './key.pem', cert: './cert.pem' } }),
    says: 'tls: key, cert, ca and pfx are the contents of the files, not their paths',
  },
  {
    mistake: 'the key of another certificate',
    make: async () => {
      await serve({ tls: await keyOfAnother() }, nothing);
    },
    says: 'tls: key does not belong to cert',
  },
  {
    mistake: 'the key of another certificate in a dial',
    make: async () => {
      await dial('wss://127.0.0.1:9', { tls: await keyOfAnother() });
    },
    says: 'tls: key does not belong to cert',
  },
  {
    mistake: 'the path of a certificate in a dial',
    make: () => dial('wss://127.0.0.1:9', { tls: { key: './key.pem', cert: './cert.pem' } }),
    says: 'tls: key, cert, ca and pfx are the contents of the files, not their paths',
  },
  {
    mistake: 'a socket as a transport',
    make: () => new Conn(new Socket() as Any, { role: 'client' }),
    says: 'new Conn: expected a Transport, got Socket; after a handshake, socketTransport(socket) of @ws/node-io',
  },
  {
    mistake: 'a number of ms as the options of a read',
    make: () => conn().readMessage(500),
    says: 'readMessage: expected an object of options, got number; write { timeout: 500 }',
  },
  {
    mistake: 'a number of ms as a deadline',
    isLater: true,
    make: () => {
      const reader = conn();
      reader.setReadDeadline(5000);
      return reader.readMessage();
    },
    says: 'the deadline 1970-01-01T00:00:05.000Z has passed; pass Date.now() + 5000 (setReadDeadline)',
  },
  {
    mistake: 'an object given to send',
    make: () => conn().send({ a: 1 }),
    says: 'send: expected a string or bytes, got Object; writeJSON sends objects',
  },
  {
    mistake: 'a promise given to send',
    make: () => conn().send(Promise.resolve('x')),
    says: 'send: expected a string or bytes, got Promise; await it',
  },
  {
    mistake: 'a Blob given to send',
    make: () => conn().send(new Blob(['x'])),
    says: 'got Blob; send await blob.arrayBuffer(), or pipe blob.stream()',
  },
  {
    mistake: 'a signal as the options of a write',
    make: () => conn().send('x', new AbortController().signal),
    says: 'send: expected options, got AbortSignal; write { signal }',
  },
  {
    mistake: 'an array given to send',
    make: () => conn().send([1]),
    says: 'send: expected a string or bytes, got Array; writeJSON sends objects',
  },
  {
    mistake: 'options as the first argument of ping',
    make: () => conn().ping({ timeout: 10 }),
    says: 'ping: expected a string or bytes, got Object; options are the second argument',
  },
  {
    mistake: 'a message type in words',
    make: () => conn().writeMessage('text', 'x'),
    says: 'bad write message type: string; use TextMessage or BinaryMessage',
  },
  {
    mistake: 'undefined as JSON',
    make: () => conn().writeJSON(undefined),
    says: 'undefined cannot be written as JSON',
  },
  {
    mistake: 'a bigint as JSON',
    make: () => conn().writeJSON(1n),
    says: 'value cannot be written as JSON: Do not know how to serialize a BigInt',
  },
  {
    mistake: 'two reads at once',
    isLater: true,
    make: () => {
      const reader = conn();
      void reader.receive(nothing);
      return reader.readMessage();
    },
    says: 'readMessage while receive is pending; read in one place at a time',
  },
  {
    mistake: 'a write after close',
    isLater: true,
    make: () => {
      const closing = conn();
      void closing.close();
      return closing.send('x');
    },
    says: 'close sent: this end has begun to close, and sends no more messages',
  },
  {
    mistake: 'a close code that must not be sent',
    make: () => conn().close(1006),
    says: 'close code 1006 must not be sent; use 1000-1003, 1007-1014 or 3000-4999',
  },
  {
    mistake: 'the close code 1005',
    make: () => conn().close(1005),
    says: 'close code 1005 must not be sent; writeControl(CloseMessage) sends none',
  },
  {
    mistake: 'a reason instead of the close code',
    make: () => conn().close('bye'),
    says: 'a close code is a number, got string; the reason is the second argument',
  },
  {
    mistake: 'options instead of the close reason',
    make: () => conn().close(1000, { timeout: 5 }),
    says: 'close: expected a reason; options are the third argument',
  },
  {
    mistake: 'a listener for messages',
    make: () => conn().on('message', nothing),
    says: 'a Conn emits no events; read with receive(handler) or for await',
  },
  {
    mistake: 'addEventListener',
    make: () => conn().addEventListener('message', nothing),
    says: 'a Conn emits no events; read with receive(handler) or for await',
  },
  {
    mistake: 'onmessage',
    isLater: true,
    make: () => {
      conn().onmessage = nothing;
    },
    says: 'a Conn emits no events; read with receive(handler) or for await',
  },
  {
    mistake: 'onmessage of a ReconnectingConn',
    isLater: true,
    make: () => {
      reconnectingConn().onmessage = nothing;
    },
    says: 'a ReconnectingConn has no onmessage; read with receive(handler) or for await',
  },
  {
    mistake: 'close of an Endpoint with 1005',
    make: () => new Endpoint({ role: 'server' }).close(1005),
    says: 'close code 1005 must not be sent; close() sends 1000',
  },
  {
    mistake: 'a borrowed message that is kept',
    isLater: true,
    make: async () => {
      const [client, server] = connPair();
      let kept: Any;
      void server.receive((message) => void (kept = message));
      await client.send('x');
      await client.ping();
      kept.text();
    },
    says: 'a BorrowedMessage was used after its handler was done; keep its data or a copy() instead',
  },
  {
    mistake: '400 writes without an await',
    isLater: true,
    make: async () => {
      const writer = conn();
      let last: unknown;
      for (let i = 0; i < 400; i++) last = writer.send(new Uint8Array(100_000));
      await last;
    },
    says: 'would exceed maxBufferedAmount (16777216); await your writes',
  },
];

const failedConnections: readonly Mistake[] = [
  {
    mistake: 'a port on which nothing listens',
    make: () => dial('ws://127.0.0.1:9'),
    says: 'connecting to 127.0.0.1:9 failed: connect ECONNREFUSED 127.0.0.1:9; nothing listens there',
  },
  {
    mistake: 'a host that does not exist',
    make: () => dial('ws://no-such-host.invalid'),
    says: 'no-such-host.invalid',
  },
  {
    mistake: 'wss: for a server without TLS',
    make: async () => dial((await served({})).replace('ws:', 'wss:')),
    says: 'the server does not speak TLS there; use ws:',
  },
  {
    mistake: 'ws: for a server with TLS',
    make: async () => dial((await served({ tls: await selfSigned() })).replace('wss:', 'ws:')),
    says: 'check host and port; perhaps the server speaks TLS; use wss:',
  },
  {
    mistake: 'ws: for a server that answers with a TLS alert',
    make: async () => {
      const alert = createTcpServer((socket) => {
        socket
          .on('error', nothing)
          .once('data', () => socket.end(Buffer.of(21, 3, 1, 0, 2, 2, 10)));
      });
      await dial(await listening(alert));
    },
    says: 'the answer is not HTTP; check host and port; perhaps the server speaks TLS; use wss:',
  },
  {
    mistake: 'a certificate that is self-signed',
    make: async () => dial(await served({ tls: await selfSigned() })),
    says: 'the certificate is self-signed; trust it with tls: { ca }',
  },
  {
    mistake: 'a page instead of a WebSocket',
    make: async () => dial(await listening(createServer((_, res) => res.end('hello')))),
    says: 'the server answered 200 OK, not 101',
  },
  {
    mistake: 'the port of SSH',
    make: async () => {
      const ssh = createTcpServer((socket) =>
        socket.on('error', nothing).resume().end('SSH-2.0-x\r\n'),
      );
      await dial(await listening(ssh));
    },
    says: 'the answer is not HTTP; check host and port',
  },
  {
    mistake: 'the port of a service that hangs up',
    make: async () => {
      const other = createTcpServer((socket) => {
        socket.on('error', nothing).once('data', () => socket.destroy());
      });
      await dial(await listening(other));
    },
    says: 'the connection broke before the server answered: socket hang up (ECONNRESET); check host and port',
  },
  {
    mistake: 'a server that does not answer',
    make: async () => {
      const silent = createTcpServer((socket) => socket.on('error', nothing).resume());
      await dial(await listening(silent), { handshakeTimeout: 50 });
    },
    says: 'timed out after 50 ms (option handshakeTimeout) while waiting for the answer',
  },
  {
    mistake: 'a page of another origin',
    make: async () => dial(await served({}), { headers: { Origin: 'http://localhost:5173' } }),
    says: '403 Forbidden, not 101: "origin http://localhost:5173 does not match host 127.0.0.1',
  },
  {
    mistake: 'an unknown path',
    make: async () => dial(`${await served({}, { '/chat': nothing })}/Chat/`),
    says: 'no WebSocket route has this path; case and a trailing slash count',
  },
  {
    mistake: 'authenticate without a result',
    make: async () => dial(await served({ authenticate: () => undefined })),
    says: '401 Unauthorized, not 101',
  },
  {
    mistake: 'a proxy that drops the upgrade headers',
    make: async () => {
      const port = Number(new URL(await served({})).port);
      const proxy = createServer();
      proxy.on('upgrade', ({ headers }: IncomingMessage, socket) => {
        delete headers.upgrade;
        const toServer = request({ port, headers: { ...headers, connection: 'close' } });
        toServer.end().on('response', (res) => {
          socket.write(
            `HTTP/1.1 ${res.statusCode} Upgrade Required\r\nContent-Type: text/plain\r\n`,
          );
          socket.write('Connection: close\r\n\r\n');
          res.pipe(socket);
        });
      });
      await dial(await listening(proxy));
    },
    says: 'if a proxy removed it, configure the proxy to forward Upgrade and Connection',
  },
  {
    mistake: 'a message that is no JSON',
    make: async () => {
      const [client, server] = connPair();
      void server.send('hello');
      await client.readJSON();
    },
    says: 'message is not JSON: Unexpected token',
  },
  {
    mistake: 'a handler of reconnecting that throws',
    make: async () => {
      const url = await served({}, (server) => server.discardReads());
      await reconnecting(url, {}, () => {
        throw new Error('mine');
      });
    },
    says: 'mine',
  },
];

/** An event makes the error of a call that waits, so its stack names no line of the caller. */
const endedConnections: readonly Mistake[] = [
  {
    mistake: 'a message over the limit of the reader',
    make: async () => {
      const url = await served({}, (server) => server.send('x'.repeat(2000)));
      await (await dialed(url, { readLimit: 1000 })).readMessage();
    },
    says: 'read limit of 1000 bytes exceeded by a message of the peer; raise it with the option readLimit',
  },
  {
    mistake: 'a read of a connection that the server closes',
    make: async () => {
      const url = await served({}, (server) => void server.close(4000, 'bye'));
      await (await dialed(url)).readMessage();
    },
    says: 'close 4000: bye',
  },
  {
    mistake: 'a loop over a connection that is cut',
    make: async () => {
      const client = await dialed(await served({}, (server) => server.terminate()));
      for await (const message of client) expect(message).toBeUndefined();
    },
    says: 'the peer ended the connection without a close frame',
  },
  {
    mistake: 'a receive of a connection that is cut',
    make: async () => {
      const client = await dialed(await served({}, (server) => server.terminate()));
      await client.receive(() => {});
    },
    says: 'the peer ended the connection without a close frame',
  },
];

describe('the error of', () => {
  nothingLeft();

  it.each(wrongArguments.filter(({ isLater }) => isLater !== true))(
    '$mistake has a stack that starts at the line of the caller',
    async ({ make }) => {
      const error = await errorOf(make);
      const [, first] = error.stack!.split(/\n +at /);
      expect(first).toMatch(HERE);
    },
  );

  it.each([...wrongArguments, ...failedConnections])(
    '$mistake says what to do and names the line of the caller',
    async ({ make, says }) => {
      const error = await errorOf(make);
      expect(error.message).toContain(says);
      expect(error.stack).toMatch(HERE);
    },
  );

  it.each(endedConnections)('$mistake says what to do', async ({ make, says }) => {
    expect((await errorOf(make)).message).toContain(says);
  });
});

async function errorOf(make: () => unknown): Promise<Error> {
  try {
    await make();
  } catch (error) {
    return error as Error;
  }
  throw new Error('no error');
}

/** A mistake in a function that the server calls. The warning contains every text of `says`. */
interface ServerMistake {
  readonly mistake: string;
  readonly options?: ServeOptions<Any>;
  readonly handler?: ConnHandler<Any>;
  readonly says: readonly string[];
}

const serverMistakes: readonly ServerMistake[] = [
  {
    mistake: 'a handler that throws',
    handler: () => void (undefined as Any).name,
    says: ["reading 'name'", 'In handler of /chat,', 'an open connection closes with 1011'],
  },
  {
    mistake: 'an object given to send',
    handler: (server) => void server.send({ a: 1 } as Any),
    says: ['writeJSON sends objects', 'In send,'],
  },
  {
    mistake: 'bad JSON in an async handler',
    handler: async (server) => void (await server.readJSON()),
    says: ['message is not JSON: Unexpected token', 'In handler of /chat,'],
  },
  {
    mistake: 'authenticate that throws',
    options: {
      authenticate: async () => {
        throw new Error('db down');
      },
    },
    says: ['db down', 'In authenticate of /chat; the request is refused with 500'],
  },
  {
    mistake: 'checkOrigin that throws',
    options: {
      checkOrigin: () => {
        throw new Error('no list');
      },
    },
    says: ['no list', 'In checkOrigin of /chat; the request is refused with 500'],
  },
];

describe('the warning of', () => {
  nothingLeft();

  it.each(serverMistakes)(
    '$mistake names the function and the line of the mistake',
    async ({ options = {}, handler = nothing, says }) => {
      const warned = once(process, 'warning') as Promise<[Error]>;
      const url = await served(options, { '/chat': handler });
      const client = await dialed(`${url}/chat`).catch(() => undefined);
      await client?.send('hello');
      const [{ message }] = await warned;
      for (const text of says) expect(message).toContain(text);
      expect(message).toMatch(HERE);
      expect(message).toContain('The option report gets such errors');
    },
  );
});
