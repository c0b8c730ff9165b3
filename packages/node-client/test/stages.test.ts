import { getEventListeners, once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  BadHandshakeError,
  type DialAddress,
  Dialer,
  type DialerOptions,
  TimeoutError,
  TransportError,
} from '../src/index.ts';
import { inVain, stopTime } from './leftovers.ts';
import { certificate, closing, rawServer, rawTlsServer } from './servers.ts';

const silent = (): void => {};

/** A TCP server that runs a function for each socket. */
async function tcp(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  return `127.0.0.1:${port}`;
}

describe('a connection that fails', () => {
  const plain = { netDial: undefined };

  it.each(['ws', 'wss'])('because no server listens is a TransportError (%s)', async (scheme) => {
    const address = '127.0.0.1:1';
    const error = await inVain(`${scheme}://${address}/`, plain);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({
      message: `websocket: connecting to ${address} failed: connect ECONNREFUSED ${address}; nothing listens there`,
      code: 'WS_ERR_TRANSPORT',
      cause: { code: 'ECONNREFUSED' },
    });
  });

  it('because the name is unknown is a TransportError', async () => {
    const error = await inVain('ws://nowhere.invalid/', plain);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({
      message:
        /^websocket: connecting to nowhere.invalid:80 failed: getaddrinfo (ENOTFOUND|EAI_AGAIN) nowhere.invalid; /,
    });
  });

  it.each([
    ['example', 'example', '; write its full name, such as example.org, or its IP address'],
    ['example.org', 'example.org', ''],
  ])('because the name does not exist says what to write (%s)', async (_says, hostname, advice) => {
    const error = await inVain('ws://example/', {
      netDial: () =>
        Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND', hostname })),
    });
    expect(error).toMatchObject({
      message: expect.stringMatching(
        new RegExp(`failed: no \\(ENOTFOUND\\); the name does not exist${advice}$`),
      ),
    });
  });

  it.each([
    'ws+unix:/nowhere/app.sock',
    'wss+unix:/nowhere/app.sock',
    `ws+unix:/${'x'.repeat(300)}`,
  ])('because there is no Unix socket is a TransportError (%.20s)', async (url) => {
    const error = await inVain(url, plain);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ message: /^websocket: connecting to .* failed: connect \w+/ });
  });

  it('in netDial is a TransportError', async () => {
    const cause = new Error('no way');
    const rejects = await inVain('ws://h/', { netDial: () => Promise.reject(cause) });
    expect(rejects).toBeInstanceOf(TransportError);
    expect(rejects).toMatchObject({ message: 'websocket: netDial to h:80 failed: no way', cause });
    const netDialTLS = (): never => {
      throw cause;
    };
    const throws = await inVain('wss://h/', { netDialTLS });
    expect(throws).toMatchObject({
      message: 'websocket: netDialTLS to h:443 failed: no way',
      cause,
    });
  });

  it.each<[string, (address: DialAddress) => Duplex | Promise<Duplex>]>([
    ['at once', () => connect('/nowhere/app.sock')],
    ['asynchronously', async () => connect('/nowhere/app.sock')],
    [
      'after some turns',
      async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return connect('/nowhere/app.sock');
      },
    ],
  ])('in the socket that netDial returns %s is a TransportError', async (_, netDial) => {
    const error = await inVain('ws://h/', { netDial });
    expect(error).toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: { code: 'ENOENT' } });
    const secure = await inVain('wss://h/', { netDial });
    expect(secure).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, 'number'],
    [{}, 'Object'],
    ['socket', 'string'],
  ])('in a netDial that returns %j is a TypeError', async (value, got) => {
    const error = await inVain('ws://h/', { netDial: () => value as never });
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      name: 'TypeError',
      message: `netDial: expected a Duplex or a Transport, got ${got}`,
    });
  });

  it('in a netDial that returns a stream of text is a TypeError', async () => {
    const { url } = await rawServer(silent);
    const streams: Socket[] = [];
    const netDial = (address: DialAddress): Socket => {
      const stream = connect(address).setEncoding('utf8');
      streams.push(stream);
      return stream;
    };
    expect(await inVain(url, { netDial })).toMatchObject({
      message: 'netDial: the stream has an encoding or object mode set and reads no bytes',
    });
    expect(streams.every(({ destroyed }) => destroyed)).toBe(true);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['reset when accepted', (socket) => socket.resetAndDestroy()],
    ['ended when accepted', (socket) => socket.end()],
    [
      'reset when the request is there',
      (socket) => void socket.once('data', () => socket.resetAndDestroy()),
    ],
    ['ended when the request is there', (socket) => void socket.once('data', () => socket.end())],
    [
      'reset in the head of the answer',
      (socket) => {
        socket.once(
          'data',
          () => void socket.write('HTTP/1.1 101 S\r\nUpgr', () => socket.resetAndDestroy()),
        );
      },
    ],
  ])('by being %s is a TransportError', async (_, onSocket) => {
    const address = await tcp(onSocket);
    const plainly = await inVain(`ws://${address}/`);
    expect(plainly).toBeInstanceOf(TransportError);
    expect(plainly).toHaveProperty('cause.code');
    expect(await inVain(`ws://${address}/`, plain)).toBeInstanceOf(TransportError);
    // Over TLS the server has seen only a ClientHello.
    expect(await inVain(`wss://${address}/`)).toBeInstanceOf(TransportError);
    const secure = await inVain(`wss://${address}/`, plain);
    expect(secure).toBeInstanceOf(TransportError);
    // A reset may arrive before 'connect'.
    expect((secure as Error).message).toMatch(
      /^websocket: (connecting to|TLS handshake with) .* failed: .*(ECONNRESET|EPIPE|use ws:)/,
    );
  });

  it('by a wss URL for a server without TLS is a TransportError', async () => {
    const address = await tcp((socket) => {
      socket.once('data', () => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    for (const options of [{}, plain]) {
      expect(await inVain(`wss://${address}/`, options)).toMatchObject({
        message: `websocket: TLS handshake with ${address} failed: wrong version number; the server does not speak TLS there; use ws:`,
        code: 'WS_ERR_TRANSPORT',
        cause: { code: 'ERR_SSL_WRONG_VERSION_NUMBER' },
      });
    }
  });

  it('by a reset in the body of a refusal is the refusal', async () => {
    const { url } = await rawServer((socket) => {
      socket.write('HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\n', () => socket.resetAndDestroy());
    });
    expect(await inVain(url)).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 403 });
  });

  it('over TLS once the request is there is a TransportError', async () => {
    const { cert: ca } = await certificate();
    const { url } = await rawTlsServer((socket) => void socket.destroy());
    expect(await inVain(url, { tls: { ca } })).toMatchObject({
      message: /^websocket: the connection broke before the server answered: /,
      code: 'WS_ERR_TRANSPORT',
    });
  });
});

describe('handshakeTimeout', () => {
  const short = { handshakeTimeout: 40 };

  it('ends the wait for a silent server', async () => {
    stopTime();
    const server = await rawServer(() => void vi.advanceTimersByTime(40));
    const error = await inVain(server.url, short);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      message: `websocket: handshake with 127.0.0.1:${server.port} timed out after 40 ms (option handshakeTimeout) while waiting for the answer`,
      code: 'WS_ERR_TIMEOUT',
    });
    await server.gone();
  });

  it('ends a response that arrives slowly', async () => {
    const server = await rawServer((socket, request) => {
      const bytes = request.ok();
      let at = 0;
      // Each byte after the last one was sent; the last four are never sent.
      const more = (): void => {
        if (at < bytes.length - 4) socket.write(bytes[at++]!, () => setImmediate(more));
      };
      more();
    });
    expect(await inVain(server.url, short)).toBeInstanceOf(TimeoutError);
    await server.gone();
  });

  it('ends a netDial that never returns', async () => {
    const error = await inVain('ws://h/', { ...short, netDial: () => new Promise(() => {}) });
    expect(error).toMatchObject({
      message:
        'websocket: handshake with h:80 timed out after 40 ms (option handshakeTimeout) while connecting',
    });
  });

  it('ends a lookup that never returns', async () => {
    const netDial = (address: DialAddress) => connect({ ...address, lookup: silent });
    expect(await inVain('ws://h/', { ...short, netDial })).toBeInstanceOf(TimeoutError);
    expect(
      await inVain('wss://h/', { ...short, netDial: undefined, tls: { lookup: silent } }),
    ).toBeInstanceOf(TimeoutError);
  });

  it('ends a TLS handshake that is not answered', async () => {
    const address = await tcp(silent);
    const given = await inVain(`wss://${address}/`, short);
    expect(given).toBeInstanceOf(TimeoutError);
    expect(await inVain(`wss://${address}/`, { ...short, netDial: undefined })).toBeInstanceOf(
      TimeoutError,
    );
  });

  it('ends the wait for a cookie jar, before and after', async () => {
    const forever = (): Promise<never> => new Promise(() => {});
    const mute = { getCookieString: forever, setCookie: forever };
    const before = await inVain('ws://h/', { ...short, jar: mute });
    expect(before).toMatchObject({
      message:
        'websocket: handshake with h:80 timed out after 40 ms (option handshakeTimeout) while waiting for the cookie jar',
    });
    const server = await rawServer(
      (socket, request) => void socket.write(request.ok('Set-Cookie: a=b\r\n')),
    );
    const after = await inVain(server.url, {
      ...short,
      jar: { ...mute, getCookieString: () => '' },
    });
    expect(after).toBeInstanceOf(TimeoutError);
    await server.gone();
  });

  it('is off with false', async () => {
    const server = await rawServer((socket, request) => {
      setTimeout(() => void socket.write(request.ok()), 60);
    });
    const conn = await new Dialer({ handshakeTimeout: false }).dial(server.url);
    conn.terminate();
  });

  it('does not touch the connection that it let through', async () => {
    stopTime();
    const server = await rawServer((socket, request) => void socket.write(request.ok()));
    const conn = await new Dialer(short).dial(server.url);
    vi.advanceTimersByTime(40);
    server.sockets[0]!.write('\x81\x02hi', 'latin1');
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    conn.terminate();
  });
});

describe('an aborted dial rejects with the signal’s reason', () => {
  const reason = new Error('enough');

  /** Dials, aborts at the given point, and checks the reason and that nothing is left. */
  async function aborts(
    url: string,
    options: DialerOptions,
    when: (abort: () => void) => unknown,
  ): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    const dialed = inVain(url, options, { signal });
    void when(() => controller.abort(reason));
    expect(await dialed).toBe(reason);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  }

  it('before it begins', async () => {
    const signal = AbortSignal.abort(reason);
    let opened = 0;
    const netDial = (): never => {
      opened++;
      throw new Error('never');
    };
    expect(await inVain('ws://h/', { netDial }, { signal })).toBe(reason);
    expect(opened).toBe(0);
  });

  it('whatever the reason is', async () => {
    expect(await inVain('ws://h/', {}, { signal: AbortSignal.abort('words') })).toBe('words');
    const error = await inVain('ws://h/', {}, { signal: AbortSignal.abort() });
    expect(error).toMatchObject({ name: 'AbortError' });
  });

  it('while the jar works', async () => {
    const jar = { getCookieString: () => new Promise<string>(() => {}), setCookie: silent };
    await aborts('ws://h/', { jar }, (abort) => setImmediate(abort));
  });

  it.each(['ws', 'wss'])('in the lookup, in the turn of the dial (%s)', async (scheme) => {
    await aborts(`${scheme}://localhost:1/`, { netDial: undefined }, (abort) => abort());
  });

  it('in the lookup', async () => {
    const netDial = (address: DialAddress) => connect({ ...address, lookup: silent });
    await aborts('ws://h/', { netDial }, (abort) => setImmediate(abort));
    await aborts('wss://h/', { netDial }, (abort) => setImmediate(abort));
    await aborts('wss://h/', { netDial: undefined, tls: { lookup: silent } }, (abort) =>
      setImmediate(abort),
    );
  });

  it('while TCP connects', async () => {
    const address = await tcp(silent);
    await aborts(`ws://${address}/`, { netDial: undefined }, (abort) => queueMicrotask(abort));
    await aborts(`wss://${address}/`, { netDial: undefined }, (abort) => queueMicrotask(abort));
  });

  it('in the TLS handshake', async () => {
    let accepted = silent;
    const address = await tcp((socket) => void socket.once('data', () => accepted()));
    const aborted = (options: DialerOptions) =>
      aborts(`wss://${address}/`, options, (abort) => {
        accepted = abort;
      });
    await aborted({});
    await aborted({ netDial: undefined });
  });

  it('while the response is pending', async () => {
    let asked = silent;
    const server = await rawServer(() => asked());
    await aborts(server.url, {}, (abort) => {
      asked = abort;
    });
    await server.gone();
  });

  it.each([
    ['the head of the answer', 'HTTP/1.1 101 S\r\nUpgrade: web'],
    ['the body of a refusal', 'HTTP/1.1 403 No\r\n\r\n'],
  ])('in %s', async (_, text) => {
    let abort = silent;
    const server = await rawServer((socket) => {
      socket.write(text, () => setImmediate(abort));
    });
    await aborts(server.url, {}, (f) => {
      abort = f;
    });
    await server.gone();
  });

  it('after the 101, while the jar keeps a cookie', async () => {
    let abort = silent;
    const server = await rawServer(
      (socket, request) => void socket.write(request.ok('Set-Cookie: a=b\r\n')),
    );
    const jar = {
      getCookieString: () => '',
      setCookie: () => {
        abort();
        return new Promise(() => {});
      },
    };
    await aborts(server.url, { jar }, (f) => {
      abort = f;
    });
    await server.gone();
  });

  it('and destroys a stream that netDial opens too late', async () => {
    const server = await rawServer(silent);
    let open!: (stream: Duplex) => void;
    let signal!: AbortSignal;
    const netDial = (_: DialAddress, context: { signal: AbortSignal }) => {
      signal = context.signal;
      return new Promise<Duplex>((resolve) => {
        open = resolve;
      });
    };
    await aborts(server.url, { netDial }, (abort) => setImmediate(abort));
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBe(reason);
    const late = connect(server.port, '127.0.0.1');
    const gone = closing(late);
    open(late);
    await gone;
    expect(late.destroyed).toBe(true);
  });

  it('when netDial itself fails by the signal', async () => {
    const netDial = (_: DialAddress, { signal }: { signal: AbortSignal }) =>
      new Promise<Duplex>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted, says netDial')));
      });
    await aborts('ws://h/', { netDial }, (abort) => setImmediate(abort));
  });

  it('and ignores the late error of a netDial', async () => {
    let fail!: (error: Error) => void;
    const netDial = () =>
      new Promise<Duplex>((_, reject) => {
        fail = reject;
      });
    await aborts('ws://h/', { netDial }, (abort) => setImmediate(abort));
    fail(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('a failed dial', () => {
  it.each([5_000, 400])(
    'is a BadHandshakeError when a refusal’s body never ends, with a timeout of %d ms',
    async (handshakeTimeout) => {
      const { url } = await rawServer((socket) => void socket.write('HTTP/1.1 503 No\r\n\r\nbusy'));
      const error = await inVain(url, { handshakeTimeout });
      expect(error).toBeInstanceOf(BadHandshakeError);
      expect(error).toMatchObject({ status: 503, body: Buffer.from('busy') });
    },
  );
});
