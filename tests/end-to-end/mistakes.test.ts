import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { createServer as createTcpServer, type Server, Socket } from 'node:net';
import { Endpoint } from '@ws/codec';
import { Conn, connPair } from '@ws/conn';
import { type ClientConn, Dialer, dial, ReconnectingConn, reconnecting } from '@ws/node-client';
import { broadcast, type ConnHandler, type ServeOptions, serve, Upgrader } from '@ws/node-server';
import { listening, newSelfSigned, nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

// What a developer sees after a mistake. Each row makes one mistake. The message says what happened
// and what to do. The stack names the line of the caller, which is in this file.
const HERE = /\bmistakes\.test\.ts:\d+/;

/** Mistakes by their names: the call that makes one, and what the error says. */
type Mistakes = Readonly<Record<string, readonly [make: () => unknown, says: string]>>;

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

async function urlOf(server: Server): Promise<string> {
  whenOver(() => void server.close());
  return `ws://127.0.0.1:${await listening(server)}`;
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

/** The call throws or rejects by its arguments, so the stack starts at its line. */
const wrongArguments: Mistakes = {
  'a URL without a scheme': [
    () => dial('localhost:8080'),
    'it has no scheme; write ws://localhost:8080',
  ],
  'a password in the URL': [
    () => dial('ws://me:secret@127.0.0.1:9'),
    'send it with the option headers: { Authorization }',
  ],
  'subprotocols as in browsers': [
    () => dial('ws://127.0.0.1:9', ['chat'] as Any),
    'the second argument has the options; write { subprotocols: [...] }',
  ],
  'an option of the Dialer in one of its dials': [
    () => new Dialer().dial('ws://127.0.0.1:9', { compression: true } as Any),
    'unknown option compression; it is an option of new Dialer()',
  ],
  'an option of reconnecting in a dial': [
    () => dial('ws://127.0.0.1:9', { minDelay: 100 } as Any),
    'unknown option minDelay; it is an option of reconnecting',
  ],
  'an option of ws in a dial': [
    () => dial('ws://127.0.0.1:9', { maxPayload: 1 } as Any),
    'unknown option maxPayload; use readLimit',
  ],
  'a URL without a colon': [
    () => dial('wss//localhost:8080/chat'),
    'it has no scheme; write wss://localhost:8080',
  ],
  'a function as the headers of a dial': [
    () => dial('ws://127.0.0.1:9', { headers: (() => ({})) as Any }),
    'headers: expected an object or pairs, got function; reconnecting and ReconnectingConn take a function',
  ],
  'a text as the headers of a dial': [
    () => dial('ws://127.0.0.1:9', { headers: 'X-A: 1' as Any }),
    'headers: expected an object or pairs, got string',
  ],
  'the option reconnect of a dial': [
    () => dial('ws://127.0.0.1:9', { reconnect: true } as Any),
    'unknown option reconnect; a ReconnectingConn dials again',
  ],
  'the option token of a dial': [
    () => dial('ws://127.0.0.1:9', { token: true } as Any),
    'unknown option token; use headers: { Authorization }',
  ],
  'the option maxRetries of reconnecting': [
    () => reconnecting('ws://127.0.0.1:9', { maxRetries: 5 } as Any),
    'unknown option maxRetries; use retry',
  ],
  'the option reconnectInterval of reconnecting': [
    () => reconnecting('ws://127.0.0.1:9', { reconnectInterval: 5 } as Any),
    'unknown option reconnectInterval; use minDelay',
  ],
  'a listener for messages of a ReconnectingConn': [
    () => reconnectingConn().on('message', nothing),
    "expected 'open' or 'close', got message; read with receive(handler) or for await",
  ],
  'the handler of reconnecting as its options': [
    () => reconnecting('ws://127.0.0.1:9', nothing as Any),
    'reconnecting: the handler comes last; write reconnecting(url, {}, handler)',
  ],
  'a header of the handshake': [
    () => dial('ws://127.0.0.1:9', { headers: { 'Sec-WebSocket-Key': 'x' } }),
    "Sec-WebSocket-Key is the handshake's own and cannot be set",
  ],
  'an allowed origin with a slash': [
    () => serveWrongly({ allowedOrigins: ['http://localhost:5173/'] }),
    'an origin has no path; write http://localhost:5173',
  ],
  'an allowed origin without a scheme': [
    () => serveWrongly({ allowedOrigins: ['localhost:5173'] }),
    'got localhost:5173; an origin starts with its scheme',
  ],
  'every origin': [
    () => serveWrongly({ allowedOrigins: ['*'] }),
    'got *; to admit every page set checkOrigin: () => true',
  ],
  'a port that is a string': [
    () => serveWrongly({ port: '8080' }),
    'port: expected a number, got string',
  ],
  'a port that is too high': [
    () => serveWrongly({ port: 99_999 }),
    'port: expected 0 to 65535, got 99999',
  ],
  'a heartbeat that is a boolean': [
    () => serveWrongly({ heartbeat: true }),
    'heartbeat: expected false or { interval, timeout }, got boolean',
  ],
  'a port instead of the options': [
    () => serveWrongly(8080),
    'serve: expected an object of options, got number; write serve({ port: 8080 }, handler)',
  ],
  'a port that is a string instead of the options': [
    () => serveWrongly('8080'),
    'serve: expected an object of options, got string; write serve({ port: 8080 }, handler)',
  ],
  'the handler as the first argument': [
    () => (serve as Any)(nothing),
    'serve: the options come first; write serve({ port: 8080 }, handler)',
  ],
  'a server instead of the options': [
    () => serveWrongly(createServer()),
    'serve: expected an object of options, got a server; write { server }',
  ],
  'the URL of a server that does not listen yet': [
    async () => {
      const server = await serve({ server: createServer() }, nothing);
      await dial(server.url);
    },
    'malformed WebSocket URL: it is empty; server.url is empty until the server listens',
  ],
  'no handler': [
    () => serveWrongly({}, null),
    'handler: expected a function, or routes by path, got null',
  ],
  'the app of Express as the server': [
    () => serveWrongly({ server: () => {} }),
    'got function; pass what app.listen() returns',
  ],
  'a route without a slash': [
    () => serveWrongly({}, { chat: nothing }),
    '"chat" does not start with a slash; write "/chat"',
  ],
  'the option ssl of serve': [
    () => serveWrongly({ ssl: nothing }),
    'serve: unknown option ssl; use tls',
  ],
  'the option onConnection of serve': [
    () => serveWrongly({ onConnection: nothing }),
    'serve: unknown option onConnection; the handler is a separate argument, after the options',
  ],
  'the option maxPayloadLength of serve': [
    () => serveWrongly({ maxPayloadLength: nothing }),
    'serve: unknown option maxPayloadLength; use readLimit',
  ],
  'the option logger of serve': [
    () => serveWrongly({ logger: nothing }),
    'serve: unknown option logger; use report',
  ],
  'a URL as the host': [
    () => serveWrongly({ host: 'http://localhost' }),
    'host: expected a name or an address without a scheme, such as 127.0.0.1, got "http://localhost"',
  ],
  'a wildcard as a route': [
    () => serveWrongly({}, { '/chat/*': nothing }),
    'routes: "/chat/*" has the segment "*": it is no wildcard; write a parameter, such as :name',
  ],
  'a route with a query': [
    () => serveWrongly({}, { '/chat?x': nothing }),
    'has the segment "chat?x": a route has no query; read context.query',
  ],
  'a server instead of its connections': [
    () => broadcast({} as Any, 'x'),
    'broadcast: expected Conns, such as server.connections, got Object',
  ],
  'TLS without a certificate': [
    () => serveWrongly({ tls: {} }),
    'tls: has no certificate; set key and cert',
  ],
  'the path of a certificate instead of its text': [
    () => serveWrongly({ tls: { key: './key.pem', cert: './cert.pem' } }),
    'tls: key, cert, ca and pfx are the contents of the files, not their paths',
  ],
  'the key of another certificate': [
    async () => {
      await serve({ tls: await keyOfAnother() }, nothing);
    },
    'tls: key does not belong to cert',
  ],
  'the key of another certificate in a dial': [
    async () => {
      await dial('wss://127.0.0.1:9', { tls: await keyOfAnother() });
    },
    'tls: key does not belong to cert',
  ],
  'the path of a certificate in a dial': [
    () => dial('wss://127.0.0.1:9', { tls: { key: './key.pem', cert: './cert.pem' } }),
    'tls: key, cert, ca and pfx are the contents of the files, not their paths',
  ],
  'a socket as a transport': [
    () => new Conn(new Socket() as Any, { role: 'client' }),
    'new Conn: expected a Transport, got Socket; after a handshake, socketTransport(socket) of @ws/node-io',
  ],
  'a number of ms as the options of a read': [
    () => conn().readMessage(500),
    'readMessage: expected an object of options, got number; write { timeout: 500 }',
  ],
  'an object given to send': [
    () => conn().send({ a: 1 }),
    'send: expected a string or bytes, got Object; writeJSON sends objects',
  ],
  'a promise given to send': [
    () => conn().send(Promise.resolve('x')),
    'send: expected a string or bytes, got Promise; await it',
  ],
  'a Blob given to send': [
    () => conn().send(new Blob(['x'])),
    'got Blob; send await blob.arrayBuffer(), or pipe blob.stream()',
  ],
  'a signal as the options of a write': [
    () => conn().send('x', new AbortController().signal),
    'send: expected options, got AbortSignal; write { signal }',
  ],
  'an array given to send': [
    () => conn().send([1]),
    'send: expected a string or bytes, got Array; writeJSON sends objects',
  ],
  'options as the first argument of ping': [
    () => conn().ping({ timeout: 10 }),
    'ping: expected a string or bytes, got Object; options are the second argument',
  ],
  'a message type in words': [
    () => conn().writeMessage('text', 'x'),
    'bad write message type: string; use TextMessage or BinaryMessage',
  ],
  'undefined as JSON': [() => conn().writeJSON(undefined), 'undefined cannot be written as JSON'],
  'a bigint as JSON': [
    () => conn().writeJSON(1n),
    'value cannot be written as JSON: Do not know how to serialize a BigInt',
  ],
  'a close code that must not be sent': [
    () => conn().close(1006),
    'close code 1006 must not be sent; use 1000-1003, 1007-1014 or 3000-4999',
  ],
  'the close code 1005': [
    () => conn().close(1005),
    'close code 1005 must not be sent; writeControl(CloseMessage) sends none',
  ],
  'a reason instead of the close code': [
    () => conn().close('bye'),
    'a close code is a number, got string; the reason is the second argument',
  ],
  'options instead of the close reason': [
    () => conn().close(1000, { timeout: 5 }),
    'close: expected a reason; options are the third argument',
  ],
  'a listener for messages': [
    () => conn().on('message', nothing),
    'a Conn emits no events; read with receive(handler) or for await',
  ],
  addEventListener: [
    () => conn().addEventListener('message', nothing),
    'a Conn emits no events; read with receive(handler) or for await',
  ],
  'close of an Endpoint with 1005': [
    () => new Endpoint({ role: 'server' }).close(1005),
    'close code 1005 must not be sent; close() sends 1000',
  ],
};

/** The error comes with the state of the connection. */
const wrongStates: Mistakes = {
  'the result of a dial taken apart': [
    async () => {
      const { conn: taken } = (await dialed(await served({}))) as Any;
      return taken;
    },
    'dial returns the connection itself; write: const conn = await dial(url)',
  ],
  'a port that is in use': [
    async () => {
      const { port } = new URL(await served({}));
      await serve({ host: '127.0.0.1', port: Number(port) }, nothing);
    },
    'is in use; end the process that listens there, or choose another',
  ],
  'the port of a server that listens': [
    async () => {
      const http = createServer();
      await urlOf(http);
      await serve({ server: http, port: 0 }, nothing);
    },
    'server: it is already listening; omit port, host, socketPath and listen',
  ],
  'listen of the result of serve': [
    async () => {
      const server: Any = await serve({ host: '127.0.0.1' }, nothing);
      whenOver(() => server.close());
      server.listen(8080);
    },
    'listen: it listens already; port is an option of serve',
  ],
  'upgrade without its Upgrader as a listener': [
    () => {
      const upgrader: Any = new Upgrader();
      return upgrader.upgrade.call(createServer(), {}, new Socket(), Buffer.alloc(0));
    },
    'upgrade: lost its Upgrader; add upgrader.handler(handler) as the listener',
  ],
  'a number of ms as a deadline': [
    () => {
      const reader = conn();
      reader.setReadDeadline(5000);
      return reader.readMessage();
    },
    'the deadline 1970-01-01T00:00:05.000Z has passed; pass Date.now() + 5000 (setReadDeadline)',
  ],
  'two reads at once': [
    () => {
      const reader = conn();
      void reader.receive(nothing);
      return reader.readMessage();
    },
    'readMessage while receive is pending; read in one place at a time',
  ],
  'a write after close': [
    () => {
      const closing = conn();
      void closing.close();
      return closing.send('x');
    },
    'close sent: this end has begun to close, and sends no more messages',
  ],
  onmessage: [
    () => {
      conn().onmessage = nothing;
    },
    'a Conn emits no events; read with receive(handler) or for await',
  ],
  'onmessage of a ReconnectingConn': [
    () => {
      reconnectingConn().onmessage = nothing;
    },
    'a ReconnectingConn has no onmessage; read with receive(handler) or for await',
  ],
  'a borrowed message that is kept': [
    async () => {
      const [client, server] = connPair();
      let kept: Any;
      void server.receive((message) => void (kept = message));
      await client.send('x');
      await client.ping();
      kept.text();
    },
    'a BorrowedMessage was used after its handler was done; keep its data or a copy() instead',
  ],
  '400 writes without an await': [
    async () => {
      const writer = conn();
      let last: unknown;
      for (let i = 0; i < 400; i++) last = writer.send(new Uint8Array(100_000));
      await last;
    },
    'would exceed maxBufferedAmount (16777216); await your writes',
  ],
};

const failedConnections: Mistakes = {
  'a port on which nothing listens': [
    () => dial('ws://127.0.0.1:9'),
    'connecting to 127.0.0.1:9 failed: connect ECONNREFUSED 127.0.0.1:9; nothing listens there',
  ],
  'a host that does not exist': [() => dial('ws://no-such-host.invalid'), 'no-such-host.invalid'],
  'wss: for a server without TLS': [
    async () => dial((await served({})).replace('ws:', 'wss:')),
    'the server does not speak TLS there; use ws:',
  ],
  'ws: for a server with TLS': [
    async () => dial((await served({ tls: await selfSigned() })).replace('wss:', 'ws:')),
    'check host and port; perhaps the server speaks TLS; use wss:',
  ],
  'ws: for a server that answers with a TLS alert': [
    async () => {
      const alert = createTcpServer((socket) => {
        socket
          .on('error', nothing)
          .once('data', () => socket.end(Buffer.of(21, 3, 1, 0, 2, 2, 10)));
      });
      await dial(await urlOf(alert));
    },
    'the answer is not HTTP; check host and port; perhaps the server speaks TLS; use wss:',
  ],
  'a certificate that is self-signed': [
    async () => dial(await served({ tls: await selfSigned() })),
    'the certificate is self-signed; trust it with tls: { ca }',
  ],
  'a page instead of a WebSocket': [
    async () => dial(await urlOf(createServer((_, res) => res.end('hello')))),
    'the server answered 200 OK, not 101',
  ],
  'the port of SSH': [
    async () => {
      const ssh = createTcpServer((socket) =>
        socket.on('error', nothing).resume().end('SSH-2.0-x\r\n'),
      );
      await dial(await urlOf(ssh));
    },
    'the answer is not HTTP; check host and port',
  ],
  'the port of a service that hangs up': [
    async () => {
      const other = createTcpServer((socket) => {
        socket.on('error', nothing).once('data', () => socket.destroy());
      });
      await dial(await urlOf(other));
    },
    'the connection broke before the server answered: socket hang up (ECONNRESET); check host and port',
  ],
  'a server that does not answer': [
    async () => {
      const silent = createTcpServer((socket) => socket.on('error', nothing).resume());
      await dial(await urlOf(silent), { handshakeTimeout: 50 });
    },
    'timed out after 50 ms (option handshakeTimeout) while waiting for the answer',
  ],
  'a page of another origin': [
    async () => dial(await served({}), { headers: { Origin: 'http://localhost:5173' } }),
    '403 Forbidden, not 101: "origin http://localhost:5173 does not match host 127.0.0.1',
  ],
  'an unknown path': [
    async () => dial(`${await served({}, { '/chat': nothing })}/Chat/`),
    'no WebSocket route has this path; case and a trailing slash count',
  ],
  'authenticate without a result': [
    async () => dial(await served({ authenticate: () => undefined })),
    '401 Unauthorized, not 101',
  ],
  'a proxy that drops the upgrade headers': [
    async () => {
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
      await dial(await urlOf(proxy));
    },
    'if a proxy removed it, configure the proxy to forward Upgrade and Connection',
  ],
  'a message that is no JSON': [
    async () => {
      const [client, server] = connPair();
      void server.send('hello');
      await client.readJSON();
    },
    'message is not JSON: Unexpected token',
  ],
  'a handler of reconnecting that throws': [
    async () => {
      const url = await served({}, (server) => server.discardReads());
      await reconnecting(url, {}, () => {
        throw new Error('mine');
      });
    },
    'mine',
  ],
};

/** An event makes the error of a call that waits, so its stack names no line of the caller. */
const endedConnections: Mistakes = {
  'a message over the limit of the reader': [
    async () => {
      const url = await served({}, (server) => server.send('x'.repeat(2000)));
      await (await dialed(url, { readLimit: 1000 })).readMessage();
    },
    'read limit of 1000 bytes exceeded by a message of the peer; raise it with the option readLimit',
  ],
  'a read of a connection that the server closes': [
    async () => {
      const url = await served({}, (server) => void server.close(4000, 'bye'));
      await (await dialed(url)).readMessage();
    },
    'close 4000: bye',
  ],
  'a loop over a connection that is cut': [
    async () => {
      const client = await dialed(await served({}, (server) => server.terminate()));
      for await (const message of client) expect(message).toBeUndefined();
    },
    'the peer ended the connection without a close frame',
  ],
  'a receive of a connection that is cut': [
    async () => {
      const client = await dialed(await served({}, (server) => server.terminate()));
      await client.receive(() => {});
    },
    'the peer ended the connection without a close frame',
  ],
};

describe('the error of', () => {
  nothingLeft();

  it.each(Object.entries(wrongArguments))(
    '%s has a stack that starts at the line of the caller',
    async (_, [make]) => {
      const error = await errorOf(make);
      const [, first] = error.stack!.split(/\n +at /);
      expect(first).toMatch(HERE);
    },
  );

  it.each(Object.entries({ ...wrongArguments, ...wrongStates, ...failedConnections }))(
    '%s says what to do and names the line of the caller',
    async (_, [make, says]) => {
      const error = await errorOf(make);
      expect(error.message).toContain(says);
      expect(error.stack).toMatch(HERE);
    },
  );

  it.each(Object.entries(endedConnections))('%s says what to do', async (_, [make, says]) => {
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
