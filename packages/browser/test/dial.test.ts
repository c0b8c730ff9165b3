import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  type DialOptions,
  dial,
  fromWebSocket,
  ReconnectingConn,
  TransportError,
  WebSocketError,
} from '../src/index.ts';
import { FakeWebSocket, openSocket, socketClass } from './fake-web-socket.ts';
import { rejection } from './support.ts';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A dial with a fake class, and its socket. */
function dialed(url: string | URL = 'ws://h', options: DialOptions = {}) {
  const { WebSocket, sockets } = socketClass();
  const dialing = dial(url, { WebSocket, ...options });
  dialing.catch(() => {});
  return { dialing, sockets, socket: sockets[0]! };
}

describe('dial', () => {
  it('resolves with the open connection', async () => {
    const subprotocols = ['v2', 'v1'];
    const { dialing, socket } = dialed('wss://example.org/feed?a=1#b', { subprotocols });
    expect(socket.url).toBe('wss://example.org/feed?a=1');
    expect(socket.protocols).toEqual(subprotocols);
    socket.open('v2');
    const conn = await dialing;
    expect([conn.state, conn.subprotocol, conn.role]).toEqual(['open', 'v2', 'client']);
    expect(conn.underlying).toBe(socket);
  });

  it.each([
    ['http://h/a', 'ws://h/a'],
    ['https://h/', 'wss://h/'],
    [new URL('ws://h/x#y'), 'ws://h/x'],
    ['WS://H', 'ws://h/'],
  ])('dials %s as %s', (url, to) => {
    expect(dialed(url).socket.url).toBe(to);
  });

  it('resolves a URL against the page', () => {
    vi.stubGlobal('location', { href: 'https://example.org/app/index.html#top' });
    expect(dialed('../feed?x').socket.url).toBe('wss://example.org/feed?x');
  });

  it('resolves a URL against the base of the page, as its links', () => {
    vi.stubGlobal('location', { href: 'about:srcdoc' });
    vi.stubGlobal('document', { baseURI: 'https://example.org/app/' });
    expect(dialed('feed').socket.url).toBe('wss://example.org/app/feed');
  });

  it.each([
    ['', 'start it with ws:// or wss://'],
    ['example.org/feed', 'start it with ws:// or wss://'],
    ['ws://', 'start it with ws:// or wss://'],
    ['ws://h:99999', 'start it with ws:// or wss://'],
    ['ftp://h', 'start it with ws:// or wss://'],
    ['localhost:8080', 'start it with ws:// or wss://'],
    ['javascript:alert(1)', 'start it with ws:// or wss://'],
    ['ws://me:secret@h', 'browsers send no user info; use ?token='],
  ])('rejects the URL %j with a SyntaxError', async (url, why) => {
    const { WebSocket, sockets } = socketClass();
    const error = await rejection(dial(url, { WebSocket }));
    expect(error).toBeInstanceOf(SyntaxError);
    expect(error.message).toContain(why);
    expect(error.message).not.toContain('secret');
    expect(sockets).toEqual([]);
  });

  it.each([undefined, null, 5, {}])('rejects %j as a URL with a TypeError', async (url) => {
    expect(await rejection(dial(url as never))).toBeInstanceOf(TypeError);
  });

  it.each(['headers', 'compression', 'proxy', 'tls', 'heartbeat', 'jar', 'auth', 'origin'])(
    'rejects the option %s, which a page cannot have, and says what to use',
    async (name) => {
      const error = await rejection(dial('ws://h', { [name]: undefined }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toBe(
        `dial: unknown option ${name}; ` +
          'the browser decides about headers, proxy, TLS, compression and pings; ' +
          'to log in, use ?token= in the URL, a subprotocol or a cookie',
      );
    },
  );

  it.each(['readlimit', 'protocols', 'maxPayload'])(
    'rejects the option %s, and lists those that it knows',
    async (name) => {
      const error = await rejection(dial('ws://h', { [name]: undefined }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(`dial: unknown option ${name}; known options: readLimit, `);
      expect(error.message).toContain('subprotocols, signal');
    },
  );

  it.each([
    [{ readLimit: 0 }, RangeError, 'readLimit: 0 is not a bound; use false for no bound'],
    [{ readLimit: '5' }, TypeError, 'readLimit'],
    [{ maxQueuedBytes: -1 }, RangeError, 'maxQueuedBytes'],
    [{ highWaterMark: NaN }, RangeError, 'highWaterMark'],
    [{ maxBufferedAmount: 1.5 }, RangeError, 'maxBufferedAmount'],
    [{ handshakeTimeout: 0 }, RangeError, 'handshakeTimeout'],
    [{ signal: {}, WebSocket: FakeWebSocket }, TypeError, 'signal: expected an AbortSignal'],
    [{ WebSocket: 'ws' }, TypeError, 'WebSocket'],
    [{ subprotocols: 5 }, TypeError, 'subprotocols: expected strings, got number'],
    [{ subprotocols: ['a', 5] }, TypeError, 'subprotocols: expected strings, got Array'],
    [
      { subprotocols: ['v1', 'a=='], WebSocket: FakeWebSocket },
      TypeError,
      'dial: subprotocols: expected different tokens, such as base64url',
    ],
    [
      { subprotocols: ['a', 'b', 'a'], WebSocket: FakeWebSocket },
      TypeError,
      'dial: subprotocols: expected different tokens, such as base64url',
    ],
    ['chat', TypeError, 'dial: write { subprotocols: [...] } for subprotocols'],
    [['chat'], TypeError, 'dial: write { subprotocols: [...] } for subprotocols'],
    [null, TypeError, 'options'],
  ])('rejects the options %j', async (options, kind, text) => {
    const error = await rejection(dial('ws://h', options as never));
    expect(error).toBeInstanceOf(kind);
    expect(error.message).toContain(text);
  });

  it('rejects without a WebSocket of the runtime', async () => {
    vi.stubGlobal('WebSocket', undefined);
    const error = await rejection(dial('ws://h'));
    expect(error.message).toContain('pass a class as the option WebSocket');
  });

  it.each(['SecurityError', 'NS_ERROR_CONTENT_BLOCKED'])(
    'rejects with a TransportError for the %s that Firefox throws',
    async (name) => {
      const fault = new DOMException('The operation is insecure.', name);
      class Refuses extends FakeWebSocket {
        constructor() {
          super();
          throw fault;
        }
      }
      const error = await rejection(dial('ws://h/p?token=secret', { WebSocket: Refuses }));
      expect(error).toBeInstanceOf(TransportError);
      expect(error.cause).toBe(fault);
      expect(error.message).toContain('could not connect to ws://h/p; ');
    },
  );

  it('rejects when the socket was closed from the start, as in Chromium by a policy', async () => {
    const { WebSocket, sockets } = socketClass();
    class Closed extends WebSocket {
      override readyState = 3;
    }
    const dialing = dial('ws://h', { WebSocket: Closed });
    sockets[0]!.fail(undefined);
    expect(await rejection(dialing)).toBeInstanceOf(TransportError);
  });

  it.each(['', 'SECRET==', 'SECRET SECRET', 'SECRET/1', 'SECR\u00c9T'])(
    'shows the subprotocol %j in no error, and creates no socket for it',
    async (name) => {
      const { WebSocket, sockets } = socketClass();
      const refused: unknown[] = [
        await rejection(dial('ws://h', { WebSocket, subprotocols: name })),
      ];
      for (const subprotocols of [[name], ['v1', name], ['SECRET', 'SECRET']]) {
        refused.push(await rejection(dial('ws://h', { WebSocket, subprotocols })));
        try {
          void new ReconnectingConn('ws://h', { WebSocket, subprotocols }).close();
        } catch (error) {
          refused.push(error);
        }
      }
      expect(refused).toHaveLength(7);
      for (const error of refused) {
        expect(error).toBeInstanceOf(TypeError);
        expect(`${String(error)} ${String((error as Error).cause)}`).not.toContain('SECR');
      }
      expect(sockets).toEqual([]);
    },
  );

  it('rejects with the error of the class', async () => {
    const fault = new SyntaxError('not ws://h/p?token=secret');
    class Refuses extends FakeWebSocket {
      constructor() {
        super();
        throw fault;
      }
    }
    const error = await rejection(dial('ws://h/p?token=secret', { WebSocket: Refuses }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.cause).toBe(fault);
    expect(error.message).toBe('dial: ws://h/p was refused: SyntaxError: not ws://h/p');
  });

  it('rejects when the connection cannot be opened, without the query', async () => {
    const { dialing, socket } = dialed('ws://h/p?token=secret');
    const cause = new Error('ECONNREFUSED');
    socket.end(1006, '', false, cause);
    const error = await rejection(dialing);
    expect(error).toBeInstanceOf(TransportError);
    expect(error.message).toContain('could not connect to ws://h/p; browsers hide the cause');
    expect((error.cause as Error).cause).toBe(cause);
  });

  it('says that a page of https needs wss', async () => {
    vi.stubGlobal('location', { href: 'https://a.example/' });
    const { dialing, socket } = dialed('ws://h/p');
    socket.end(1006, '', false);
    expect((await rejection(dialing)).message).toContain(
      'could not connect to ws://h/p; a page of https needs wss:',
    );
  });

  it('rejects after an error without a close event, as in Node 22', async () => {
    const { dialing, socket } = dialed();
    socket.fail(new Error('ECONNREFUSED'));
    expect(await rejection(dialing)).toBeInstanceOf(TransportError);
  });

  it('rejects with the reason of an abort at once, and closes the socket', async () => {
    const stop = new AbortController();
    const { dialing, socket } = dialed('ws://h', { signal: stop.signal });
    const reason = new Error('enough');
    stop.abort(reason);
    expect(await rejection(dialing)).toBe(reason);
    expect(socket.closes).toHaveLength(1);
  });

  it('creates no socket with an aborted signal', async () => {
    const { dialing, sockets } = dialed('ws://h', { signal: AbortSignal.abort(7) });
    expect(await rejection(dialing)).toBe(7);
    expect(sockets).toEqual([]);
  });

  it('ignores an abort after the dial', async () => {
    const stop = new AbortController();
    const { dialing, socket } = dialed('ws://h', { signal: stop.signal });
    socket.open();
    const conn = await dialing;
    stop.abort();
    expect(conn.state).toBe('open');
    expect(socket.closes).toEqual([]);
  });

  it('rejects after handshakeTimeout', async () => {
    vi.useFakeTimers();
    const before = vi.getTimerCount();
    const { dialing, socket } = dialed('ws://h', { handshakeTimeout: 50 });
    await vi.advanceTimersByTimeAsync(50);
    expect(await rejection(dialing)).toMatchObject({
      code: 'WS_ERR_TIMEOUT',
      message: expect.stringContaining('no connection after 50 ms (option handshakeTimeout)'),
    });
    expect(socket.closes).toHaveLength(1);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(before);
  });

  it('leaves no timer after it has settled', async () => {
    vi.useFakeTimers();
    const before = vi.getTimerCount();
    const { dialing, socket } = dialed();
    expect(vi.getTimerCount()).toBe(before + 1);
    socket.open();
    await dialing;
    expect(vi.getTimerCount()).toBeLessThanOrEqual(before);
  });
});

describe('fromWebSocket', () => {
  it('takes an open socket', async () => {
    const socket = openSocket();
    const conn = fromWebSocket(socket);
    socket.message('hi');
    expect((await conn.readMessage()).text()).toBe('hi');
    expect(socket.binaryType).toBe('arraybuffer');
  });

  it('sends what was written before the socket is open, in order', async () => {
    const socket = new FakeWebSocket();
    const conn = fromWebSocket(socket);
    const data = Uint8Array.of(1, 2);
    await conn.send('a');
    await conn.send(data);
    data.fill(0);
    expect(conn.bufferedAmount).toBe(3);
    socket.open();
    await conn.send('b');
    expect(socket.sent).toEqual(['a', Uint8Array.of(1, 2), 'b']);
    expect(conn.bufferedAmount).toBe(0);
  });

  it('sends it before the message of a listener that was there first', async () => {
    const socket = new FakeWebSocket();
    let conn!: ReturnType<typeof fromWebSocket>;
    socket.addEventListener('open', () => void conn.send('from the listener'));
    conn = fromWebSocket(socket);
    await conn.send('a');
    await conn.send('b');
    socket.open();
    expect(socket.sent).toEqual(['a', 'b', 'from the listener']);
    expect(conn.stats).toMatchObject({ messagesOut: 3, bytesOut: 19 });
  });

  it('sends its messages before it closes', async () => {
    const socket = new FakeWebSocket();
    const conn = fromWebSocket(socket);
    await conn.send('a');
    const closing = conn.close(3000, 'bye');
    expect([conn.state, socket.closes]).toEqual(['closing', []]);
    socket.open();
    expect([socket.sent, socket.closes]).toEqual([['a'], [[3000, 'bye']]]);
    socket.end(3000, 'bye');
    expect(await closing).toEqual({ code: 3000, reason: 'bye', wasClean: true });
  });

  it('closes at once when nothing waits', async () => {
    const socket = new FakeWebSocket();
    const conn = fromWebSocket(socket);
    const closing = conn.close();
    expect([conn.state, socket.closes]).toEqual(['closing', [[1000, '']]]);
    socket.end(1006);
    expect(await closing).toMatchObject({ code: 1006, wasClean: false });
  });

  it('sends many of them without a stall', () => {
    const socket = new FakeWebSocket();
    const conn = fromWebSocket(socket);
    for (let i = 0; i < 50_000; i++) void conn.send('a');
    const before = process.cpuUsage();
    socket.open();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1000);
    expect(socket.sent).toHaveLength(50_000);
  });

  it('bounds what waits for a socket that connects', async () => {
    const conn = fromWebSocket(new FakeWebSocket(), { maxBufferedAmount: 3 });
    await conn.send('abc');
    expect(await rejection(conn.send('d'))).toMatchObject({ code: 'WS_ERR_BACKPRESSURE' });
  });

  it('counts the objects of what waits for a socket that connects, also of empty messages', async () => {
    const conn = fromWebSocket(new FakeWebSocket(), {
      maxBufferedAmount: 3_200,
      highWaterMark: false,
    });
    for (let i = 0; i < 10; i++) await conn.send('');
    const { message } = await rejection(conn.send(''));
    expect(message).toContain('3200 bytes are already buffered; 320 more would exceed');
    expect(conn.bufferedAmount).toBe(0);
  });

  it('gives a socket that has closed none of what waited for it', async () => {
    const socket = new FakeWebSocket();
    const conn = fromWebSocket(socket);
    await conn.send('early');
    socket.end();
    expect(await rejection(conn.send('late'))).toMatchObject({ closeCode: 1006 });
    expect(socket.sent).toEqual([]);
  });

  it('ends with an error event of a closed socket, as Chromium sends no close event', async () => {
    const socket = openSocket();
    const conn = fromWebSocket(socket);
    const reading = rejection(conn.readMessage());
    socket.readyState = 3;
    socket.fail(undefined);
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    expect(await reading).toMatchObject({ closeCode: 1006 });
  });

  it('takes code and reason of the close event that follows an error event', async () => {
    const socket = openSocket();
    const conn = fromWebSocket(socket);
    socket.end(4000, 'bye', false);
    expect(await conn.closed).toMatchObject({ code: 4000, reason: 'bye', wasClean: false });
  });

  it('rejects a socket that has closed, and other values', () => {
    const socket = openSocket();
    socket.end(1000);
    expect(() => fromWebSocket(socket)).toThrow('expected an open WebSocket');
    for (const value of [undefined, null, {}, 'ws://h']) {
      expect(() => fromWebSocket(value as never)).toThrow(TypeError);
    }
    expect(() => fromWebSocket(openSocket(), { signal: undefined } as never)).toThrow(
      'fromWebSocket: unknown option signal',
    );
  });

  it('has WebSocketErrors of @ws/conn', async () => {
    const { WebSocketError: Base } = await import('@ws/conn');
    expect(WebSocketError).toBe(Base);
  });
});
