import { connect, type Socket } from 'node:net';
import { Duplex, duplexPair, Readable, Writable } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { socketTransport } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import {
  BadHandshakeError,
  type DialAddress,
  Dialer,
  type Transport,
  TransportError,
  type TransportSink,
} from '../src/index.ts';
import { certificate, closing, greets, rawServer, rawTlsServer, says, seen } from './servers.ts';

const dialer = new Dialer();

/** Answers a handshake on the other end of a pair, then sends a greeting. */
function greet(theirs: Duplex): void {
  theirs.once('data', (request: Buffer) => {
    theirs.write(`${seen(request.toString('latin1')).ok()}\x81\x02hi`, 'latin1');
  });
}

describe('Dialer.handshake', () => {
  it('performs the handshake on an open socket', async () => {
    const server = await rawServer(greets);
    const conn = await dialer.handshake(connect(server.port, '127.0.0.1'), 'ws://example.org/x');
    const { response } = conn;
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    expect(response.status).toBe(101);
    conn.terminate();
    await server.gone();
  });

  it('performs the handshake on a Duplex that is not a socket', async () => {
    const [ours, theirs] = duplexPair();
    greet(theirs);
    const conn = await dialer.handshake(ours, 'ws://h/');
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    await conn.send('a word');
    const [frame] = (await theirs.take(1).toArray()) as [Buffer];
    expect(frame[0]).toBe(0x81);
    conn.terminate();
  });

  it.each<[string, (stream: Duplex) => unknown]>([
    ['paused', (stream) => stream.pause()],
    ['paused, after it has flowed', (stream) => stream.on('data', () => {}).pause()],
    ['corked', (stream) => stream.cork()],
    ['corked twice', (stream) => (stream.cork(), stream.cork())],
  ])('performs the handshake on a stream that is %s', async (_, hold) => {
    const { cert: ca } = await certificate();
    const server = await rawServer(greets);
    const secure = await rawTlsServer(greets);
    const dial = async (stream: Duplex, url: string): Promise<void> => {
      hold(stream);
      stream.removeAllListeners('data');
      const conn = await new Dialer({ tls: { ca } }).handshake(stream, url);
      expect((await conn.readMessage()).text()).toBe('hi');
      conn.terminate();
    };
    const [ours, theirs] = duplexPair();
    greet(theirs);
    await dial(ours, 'ws://h/');
    await dial(connect(server.port, '127.0.0.1'), 'ws://h/');
    await dial(connect(secure.port, '127.0.0.1'), 'wss://localhost/');
    await dial(connectTls({ port: secure.port, host: '127.0.0.1', ca }), 'wss://localhost/');
  });

  it('asks for the host and path of the URL', async () => {
    const [ours, theirs] = duplexPair();
    const request = new Promise<string>((resolve) => {
      theirs.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')));
    });
    const controller = new AbortController();
    const { signal } = controller;
    const dialed = dialer.handshake(ours, 'ws://example.org:9/x', {
      signal,
      headers: { 'X-A': '1' },
    });
    expect(await request).toMatch(
      /^GET \/x HTTP\/1\.1\r\nHost: example\.org:9\r\n[^]*\r\nX-A: 1\r\n\r\n$/,
    );
    controller.abort('enough');
    await expect(dialed).rejects.toBe('enough');
    expect(ours.destroyed).toBe(true);
  });

  it('runs TLS over the stream for a wss URL', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const raw = connect(server.port, '127.0.0.1');
    const conn = await new Dialer({ tls: { ca } }).handshake(raw, 'wss://localhost/');
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    const close = closing(raw);
    conn.terminate();
    await close;
  });

  it('takes a TLSSocket for a wss URL as it is', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const socket = connectTls({ port: server.port, host: '127.0.0.1', ca });
    const conn = await dialer.handshake(socket, 'wss://localhost/');
    expect(conn.underlyingConn).toBe(socket);
    conn.terminate();
  });

  it.each(['handshake', 'netDial'] as const)(
    'leaves a stream alone that is in use already, by %s',
    async (name) => {
      const again = (stream: Duplex | Transport, url = 'ws://h/'): Promise<unknown> => {
        return name === 'handshake'
          ? dialer.handshake(stream, url)
          : new Dialer({ netDial: () => stream }).dial(url);
      };
      const refusal = new TypeError(
        `${name}: the stream is already in use; open a new one for each connection`,
      );
      const server = await rawServer(greets);
      const socket = connect(server.port, '127.0.0.1');
      const first = dialer.handshake(socket, 'ws://h/');
      await expect(again(socket)).rejects.toThrow(refusal);
      const conn = await first;
      await expect(again(socket)).rejects.toThrow(refusal);
      await expect(again(socket, 'wss://h/')).rejects.toThrow(refusal);
      expect((await conn.readMessage()).text()).toBe('hi');
      conn.terminate();

      const other = connect(server.port, '127.0.0.1');
      const transport = socketTransport(other);
      await expect(again(other)).rejects.toThrow(refusal);
      const second = dialer.handshake(transport, 'ws://h/');
      await expect(again(transport)).rejects.toThrow(refusal);
      (await second).terminate();
    },
  );

  it('destroys the stream when the handshake fails', async () => {
    const server = await rawServer(says('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'));
    const socket = connect(server.port, '127.0.0.1');
    await expect(dialer.handshake(socket, 'ws://h/')).rejects.toBeInstanceOf(BadHandshakeError);
    expect(socket.destroyed).toBe(true);
    await server.gone();
  });

  it('destroys the stream when the signal is aborted already', async () => {
    const [ours] = duplexPair();
    const signal = AbortSignal.abort('enough');
    await expect(dialer.handshake(ours, 'ws://h/', { signal })).rejects.toBe('enough');
    expect(ours.destroyed).toBe(true);
  });

  it('leaves the stream alone when the URL or an option is wrong', async () => {
    const [ours] = duplexPair();
    await expect(dialer.handshake(ours, 'ws://h:0/')).rejects.toThrow(SyntaxError);
    await expect(dialer.handshake(ours, 'ws://h/', { tls: {} } as object)).rejects.toThrow(
      TypeError,
    );
    await expect(dialer.handshake(ours, 'ws://h/', { headers: { Upgrade: 'x' } })).rejects.toThrow(
      TypeError,
    );
    expect(ours.destroyed).toBe(false);
    expect(ours.listenerCount('error')).toBe(0);
  });

  it.each<[string, (stream: Duplex) => unknown]>([
    ['was destroyed', (stream) => stream.destroy()],
    [
      'was destroyed with an error',
      (stream) => stream.on('error', () => {}).destroy(new Error('x')),
    ],
    ['was ended', (stream) => stream.end()],
  ])('rejects for a stream that %s', async (_, end) => {
    for (const url of ['ws://h/', 'wss://h/']) {
      const [ours] = duplexPair();
      end(ours);
      await expect(dialer.handshake(ours, url)).rejects.toThrow(
        /^websocket: the stream is not open(: x)?$/,
      );
      expect(ours.destroyed).toBe(true);
      const [dialed] = duplexPair();
      end(dialed);
      await expect(new Dialer({ netDial: () => dialed }).dial(url)).rejects.toThrow(
        /^websocket: the stream is not open(: x)?$/,
      );
    }
  });

  it('rejects for a transport that does not start, and destroys it', async () => {
    const error = new Error('no start');
    const transport = fakeTransport(() => {
      throw error;
    });
    await expect(dialer.handshake(transport, 'ws://h/')).rejects.toMatchObject({
      message: 'websocket: handshake: the transport did not start: no start',
      code: 'WS_ERR_TRANSPORT',
      cause: error,
    });
    expect(transport.calls).toEqual(['destroy']);
    const dialed = new Dialer({
      netDial: () =>
        fakeTransport(() => {
          throw error;
        }),
    }).dial('ws://h/');
    await expect(dialed).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: error });
  });

  it.each<[string, Writable | Readable]>([
    ['Writable', new Writable()],
    ['Readable', new Readable()],
  ])('rejects a %s, which has one direction', async (_, stream) => {
    await expect(dialer.handshake(stream as never, 'ws://h/')).rejects.toThrow(
      new TypeError('handshake: expected a Duplex or a Transport, got Object'),
    );
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, 'number'],
    [{}, 'Object'],
  ])('rejects %j, which is not a stream', async (stream, got) => {
    await expect(dialer.handshake(stream as never, 'ws://h/')).rejects.toThrow(
      new TypeError(`handshake: expected a Duplex or a Transport, got ${got}`),
    );
  });
});

describe('netDial', () => {
  it('gets the address and may return a promise', async () => {
    const server = await rawServer(greets);
    const asked: DialAddress[] = [];
    const netDial = async (address: DialAddress): Promise<Socket> => {
      asked.push(address);
      return connect(server.port, '127.0.0.1');
    };
    const conn = await new Dialer({ netDial }).dial('ws://example.org:8080/x');
    conn.terminate();
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ host: 'example.org', port: 8080 });
    expect(String(asked[0])).toBe('example.org:8080');
  });

  it('opens the stream below TLS, with the name of the URL', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const raws: Socket[] = [];
    const netDial = (): Socket => {
      const raw = connect(server.port, '127.0.0.1');
      raws.push(raw);
      return raw;
    };
    const conn = await new Dialer({ netDial, tls: { ca } }).dial('wss://localhost/');
    const close = closing(raws[0]!);
    conn.terminate();
    await close;
    await expect(
      new Dialer({ netDial, tls: { ca } }).dial('wss://example.org/'),
    ).rejects.toMatchObject({
      message: /^websocket: TLS handshake with example\.org:443 failed: /,
      cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
    expect(raws[1]!.destroyed).toBe(true);
  });

  it('runs TLS over a Duplex that is not a socket', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const raw = connect(server.port, '127.0.0.1');
    const wrapped = Duplex.from({ readable: raw, writable: raw });
    const conn = await new Dialer({ netDial: () => wrapped, tls: { ca } }).dial('wss://localhost/');
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    const close = closing(wrapped);
    conn.terminate();
    await close;
  });

  it('is not called for wss URLs with netDialTLS', async () => {
    const server = await rawServer(greets);
    const netDialTLS = (): Socket => connect(server.port, '127.0.0.1');
    const netDial = (): never => {
      throw new Error('never');
    };
    const conn = await new Dialer({ netDial, netDialTLS }).dial('wss://h/');
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    conn.terminate();
  });

  it('may return a Transport', async () => {
    const server = await rawServer(greets);
    const socket = connect(server.port, '127.0.0.1');
    const netDial = (): Transport => socketTransport(socket);
    const conn = await new Dialer({ netDial }).dial('ws://h/');
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    const echoed = new Promise<Buffer>((resolve) => void server.sockets[0]!.once('data', resolve));
    await conn.send('x'.repeat(300_000));
    expect((await echoed)[0]).toBe(0x81);
    const close = closing(socket);
    conn.terminate();
    await close;
  });

  it('may return a Transport, which ends as a socket does', async () => {
    const server = await rawServer((socket, request) => {
      socket.write(request.ok());
      // The answer to our close frame is one; after it, this side sends its FIN first.
      socket.once(
        'data',
        () => void socket.write('\x88\x02\x03\xe8', 'latin1', () => socket.end()),
      );
    });
    const netDial = (): Transport => socketTransport(connect(server.port, '127.0.0.1'));
    const conn = await new Dialer({ netDial }).dial('ws://h/');
    expect(await conn.close()).toMatchObject({ code: 1000, wasClean: true });
    await server.gone();
  });

  it('may return a Transport that fails', async () => {
    const error = new Error('gone');
    const transport = fakeTransport((sink) => void setImmediate(() => sink.close(error)));
    const dialed = new Dialer({ netDial: () => transport }).dial('ws://h/');
    await expect(dialed).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: error });
    expect(transport.calls).toContain('destroy');
  });

  it('may return a Transport whose write throws', async () => {
    const error = new Error('no writing');
    const transport = fakeTransport(() => {});
    transport.write = () => {
      throw error;
    };
    const dialed = new Dialer({ netDial: () => transport }).dial('ws://h/');
    await expect(dialed).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: error });
    expect(transport.calls).toContain('destroy');
  });

  it('may return a Transport that ends', async () => {
    const transport = fakeTransport((sink) => void setImmediate(() => sink.end()));
    const dialed = new Dialer({ netDial: () => transport }).dial('ws://h/');
    await expect(dialed).rejects.toBeInstanceOf(TransportError);
    expect(transport.calls).toContain('destroy');
  });
});

describe.each(['ws', 'wss'])('a foreign Duplex (%s)', (scheme) => {
  const url = `${scheme}://h/`;
  const error = new Error('mine');
  const fails = async (make: () => Duplex, proxy?: URL): Promise<unknown> => {
    const bare = new Dialer({ ...(proxy && { proxy }), handshakeTimeout: false, netDial: make });
    const result: unknown = await bare.dial(url).catch((reason: unknown) => reason);
    expect(result).toBeInstanceOf(TransportError);
    return result;
  };
  const throws = (): never => {
    throw error;
  };
  const proxies = [undefined, new URL('http://p/'), new URL('socks5://p/')];

  it.each([
    ['_write', () => new Duplex({ read() {}, write: throws })],
    ['_writev', () => new Duplex({ read() {}, writev: throws })],
  ])('whose %s throws rejects with its error', async (_, make) => {
    for (const proxy of proxies) expect(await fails(make, proxy)).toMatchObject({ cause: error });
  });

  it('whose _write throws a value that is not an Error rejects', async () => {
    const write = (): never => {
      throw undefined;
    };
    expect(await fails(() => new Duplex({ read() {}, write }))).toMatchObject({
      cause: { message: '_write threw a value that is not an Error' },
    });
  });

  it.each([
    ['closes not', { emitClose: false }],
    ['destroys itself not', { autoDestroy: false }],
    ['does neither', { emitClose: false, autoDestroy: false }],
  ])('that fails, and %s, rejects with its error', async (_, options) => {
    const atOnce = () =>
      new Duplex({ ...options, read() {}, write: (_chunk, _encoding, done) => done(error) });
    const later = () =>
      new Duplex({
        ...options,
        read() {},
        write: (_chunk, _encoding, done) => void setImmediate(done, error),
      });
    const before = () => {
      const stream = new Duplex({ ...options, read() {}, write() {} });
      process.nextTick(() => stream.emit('error', error));
      return stream;
    };
    for (const proxy of proxies) {
      for (const make of [atOnce, later, before]) {
        expect(await fails(make, proxy)).toMatchObject({ cause: error });
      }
    }
  });
});

it('a Duplex has its own write again after the handshake', async () => {
  for (const how of ['own', 'inherited']) {
    const [ours, theirs] = duplexPair();
    greet(theirs);
    if (how === 'own') Object.assign(ours, { _write: ours._write.bind(ours) });
    const writes = (): unknown[] => ['_write', '_writev'].map((name) => Reflect.get(ours, name));
    const before = writes();
    const own = Object.keys(ours).includes('_write');
    const conn = await dialer.handshake(ours, 'ws://h/');
    expect(writes()).toEqual(before);
    expect(Object.keys(ours).includes('_write')).toBe(own);
    conn.terminate();
  }
});

/** A transport that only records its calls. */
function fakeTransport(onStart: (sink: TransportSink) => void): Transport & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    bufferedAmount: 0,
    start: onStart,
    write(_chunk, release) {
      calls.push('write');
      release?.();
      return true;
    },
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
    end: () => void calls.push('end'),
    destroy: () => void calls.push('destroy'),
  };
}
