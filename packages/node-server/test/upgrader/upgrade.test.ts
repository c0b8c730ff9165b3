import { EventEmitter, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { admit, type Conn, TransportError, Upgrader } from '../../src/index.ts';
import { ACCEPT, exchange, masked, request } from '../raw.ts';
import { connected, endAfterEach, listening, withHeaders } from '../upgrade-server.ts';

endAfterEach();

describe('Upgrader.upgrade', () => {
  it('answers a valid request with a 101 and its headers in order', async () => {
    const server = await withHeaders(new Upgrader({ subprotocols: ['chat'] }), {
      'X-First': 'one',
      'Set-Cookie': ['a=1', 'b=2'],
    });
    const client = await connected(server);
    const answer = await client.upgrade({ add: ['Sec-WebSocket-Protocol: chat'] });
    expect(answer.raw).toBe(
      [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Accept: ${ACCEPT}`,
        'Sec-WebSocket-Protocol: chat',
        'X-First: one',
        'Set-Cookie: a=1',
        'Set-Cookie: b=2',
        '\r\n',
      ].join('\r\n'),
    );
    const conn = (await server.outcome()) as Conn;
    expect(conn).toMatchObject({
      role: 'server',
      subprotocol: 'chat',
      extensions: '',
      state: 'open',
    });
    expect(conn.underlyingConn).toBeDefined();
    expect(conn.remoteAddr).toBe(`127.0.0.1:${client.stream.localPort}`);
    conn.terminate();
  });

  it('leaves no listener of the handshake on the socket', async () => {
    const authenticate = (_req: IncomingMessage, { signal }: { signal: AbortSignal }) =>
      new Promise<boolean>((resolve) => {
        setImmediate(() => resolve(signal.aborted));
      }).then((aborted) => admit({ aborted: String(aborted) }));
    const server = await listening(new Upgrader({ authenticate }));
    const client = await connected(server);
    let before: number[] = [];
    const counts = (socket: Duplex): number[] =>
      ['end', 'close', 'data', 'drain', 'timeout'].map((name) => socket.listenerCount(name));
    server.http.prependListener('upgrade', (_req, socket) => {
      before = counts(socket);
    });
    await client.upgrade();
    const conn = (await server.outcome()) as Conn;
    const socket = conn.underlyingConn as Duplex;
    conn.terminate();
    await conn.closed;
    expect(counts(socket).every((n, i) => n <= before[i]!)).toBe(true);
  });

  it('reads frames in head first', async () => {
    const server = await listening(new Upgrader());
    const client = await connected(server);
    await client.upgrade({ behind: Buffer.concat([masked(1, 'one'), masked(1, 'two')]) });
    const conn = (await server.outcome()) as Conn;
    expect((await conn.readMessage()).text()).toBe('one');
    expect((await conn.readMessage()).text()).toBe('two');
    client.stream.write(masked(1, 'three'));
    expect((await conn.readMessage()).text()).toBe('three');
    conn.terminate();
  });

  it('resolves with the connection before its first frame is handled', async () => {
    const upgrader = new Upgrader();
    const pings: string[] = [];
    const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
      void (async () => {
        const conn = await upgrader.upgrade(req, socket, head);
        conn.setPingHandler((data) => void pings.push(Buffer.from(data).toString()));
        server.settled(conn);
        await conn.readMessage();
        server.settled('read');
        conn.terminate();
      })();
    });
    const client = await connected(server);
    await client.upgrade({ behind: Buffer.concat([masked(9, 'first'), masked(1, 'x')]) });
    await server.outcome(1);
    expect(pings).toEqual(['first']);
  });

  it('keeps frames that arrive during a check, and the FIN after its answer', async () => {
    let allow: ((allowed: boolean) => void) | undefined;
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      checkOrigin: () =>
        new Promise((resolve) => {
          allow = resolve;
          asked.emit('asked');
        }),
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    const waits = once(asked, 'asked');
    client.stream.write(request({ behind: masked(1, 'early') }));
    await waits;
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    client.stream.end();
    allow?.(true);
    const conn = (await server.outcome()) as Conn;
    expect((await conn.readMessage()).text()).toBe('early');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1006 });
    await conn.closed;
  });

  it('keeps all frames that arrive during authenticate, in order', async () => {
    const asked = new EventEmitter();
    let allow: (() => void) | undefined;
    const authenticate = (): Promise<true> => {
      asked.emit('asked');
      return new Promise((resolve) => {
        allow = () => resolve(true);
      });
    };
    const upgrader = new Upgrader({ authenticate });
    const seen: string[] = [];
    const all = new EventEmitter();
    const server = await listening(
      upgrader.handler((conn) =>
        conn.receive((message) => {
          if (seen.push(message.text()) === 500) all.emit('seen');
        }),
      ),
    );
    const client = await connected(server);
    const waits = once(asked, 'asked');
    const frames = Array.from({ length: 500 }, (_, i) => masked(1, `${i} ${'x'.repeat(100)}`));
    client.stream.write(Buffer.concat([request(), ...frames.slice(0, 100)]));
    await waits;
    const written = new Promise((resolve) =>
      client.stream.write(Buffer.concat(frames.slice(100)), resolve),
    );
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    const done = once(all, 'seen');
    allow!();
    await Promise.all([done, written]);
    expect(seen.map((text) => Number(text.split(' ')[0]))).toEqual(frames.map((_, i) => i));
  });

  it('fails on a bad frame in head without a reader', async () => {
    const server = await listening(new Upgrader());
    const client = await connected(server);
    await client.upgrade({ behind: Buffer.from([0xa1, 0x80, 0, 0, 0, 0]) });
    await client.until(() => client.received.length >= 4);
    expect(client.received.readUInt16BE(2)).toBe(1002);
    const conn = (await server.outcome()) as Conn;
    client.stream.end();
    await conn.closed;
  });

  it('rejects a second call for one socket', async () => {
    const upgrader = new Upgrader();
    const errors: unknown[] = [];
    const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
      const first = upgrader.upgrade(req, socket, head);
      const second = upgrader.upgrade(req, socket, head);
      void first.then((conn) => server.settled(conn));
      second.catch((error: unknown) => errors.push(error));
    });
    const client = await connected(server);
    expect((await client.upgrade()).status).toBe(101);
    const conn = (await server.outcome()) as Conn;
    expect(errors.map(String)).toEqual([
      'Error: websocket: upgrade was called before for this socket',
    ]);
    expect(conn.state).toBe('open');
    conn.terminate();
  });

  it.each([undefined, null, {}])('rejects for the socket %o', async (socket) => {
    const upgrading = new Upgrader().upgrade({} as never, socket as never, Buffer.alloc(0));
    await expect(upgrading).rejects.toThrow("socket: expected the one that the listener for 'upg");
  });

  it('rejects for a closed socket', async () => {
    const upgrader = new Upgrader();
    const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.destroy();
      upgrader.upgrade(req, socket, head).catch((error: unknown) => server.settled(error));
    });
    const client = await connected(server);
    client.stream.write(request());
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    await client.closed;
  });

  it.each([
    { says: 'a line end in a value', headers: { 'X-A': 'a\r\nSet-Cookie: b=c' } },
    { says: 'a bare LF', headers: { 'X-A': 'a\nb' } },
    { says: 'a NUL', headers: { 'X-A': 'a\0b' } },
    { says: 'a line end in a list', headers: { 'Set-Cookie': ['a=1', 'b=2\r\n'] } },
    { says: 'a line end in a name', headers: { 'X-A\r\nX-B': 'a' } },
    { says: 'an empty name', headers: { '': 'a' } },
    { says: 'no value', headers: { 'X-A': undefined } },
    { says: 'an object of options', headers: { headers: { 'X-A': 'a' } } },
    { says: 'a list in a list', headers: { 'X-A': [['a']] } },
    { says: 'a boolean', headers: { 'X-A': true } },
    { says: 'a character beyond Latin-1', headers: { 'X-A': '漢' } },
    { says: 'a header of the handshake', headers: { Connection: 'close' } },
    { says: 'a line end in pairs', headers: [['X-A', 'a\r\n']] },
    { says: 'names and values in turn', headers: ['X-A', 'a'] },
    { says: 'a string', headers: 'X-A: a', named: true },
    { says: 'null', headers: null, named: true },
    { says: 'a number', headers: 5, named: true },
  ])('refuses $says of its caller and writes nothing', async ({ headers, named = false }) => {
    const server = await withHeaders(new Upgrader(), headers);
    const client = await connected(server);
    client.stream.write(request());
    await client.closed;
    expect(client.received.length).toBe(0);
    const outcome = await server.outcome();
    expect(outcome).toBeInstanceOf(TypeError);
    if (named) expect(String(outcome)).toContain('headers: expected');
  });

  it('accepts a Headers object', async () => {
    const server = await withHeaders(new Upgrader(), new Headers({ 'X-A': 'b' }));
    const client = await connected(server);
    expect((await client.upgrade()).headers.get('x-a')).toBe('b');
    ((await server.outcome()) as Conn).terminate();
  });

  it('refuses an extensions header of its caller with 500, after the version and before the origin', async () => {
    const server = await withHeaders(new Upgrader(), { 'Sec-WebSocket-Extensions': 'x' });
    const late = await exchange(server.port, request({ add: ['Origin: https://evil.example'] }));
    expect(late.status).toBe(500);
    expect(late.body).toContain('Sec-WebSocket-Extensions');
    const early = await exchange(server.port, request({ without: ['sec-websocket-version'] }));
    expect(early.status).toBe(400);
  });
});
