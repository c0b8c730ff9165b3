import dns from 'node:dns';
import { getEventListeners } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { socketTransport } from '@ws/node-io';
import { prepareReadBuffer } from '@ws/node-io/internal';
import { generate } from 'selfsigned';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  BadHandshakeError,
  type DialAddress,
  Dialer,
  type DialerOptions,
  defaultDialer,
  dial,
  type ProxyRequest,
  TimeoutError,
  type Transport,
} from '../../src/index.ts';
import { inVain, stopTime } from '../leftovers.ts';
import { dialsTo, grants, socksServer, tunnelProxy } from '../proxies.ts';
import {
  certificate,
  closing,
  greeted,
  greets,
  rawServer,
  rawTlsServer,
  says,
  seen,
} from '../servers.ts';

const silent = (): void => {};
const forever = (): Promise<never> => new Promise(() => {});

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function connectPlain(server: Server): Socket {
  return connect(portOf(server), '127.0.0.1').on('error', silent);
}

/** A server that never answers, and reports its first bytes. */
async function silentServer(heard: () => void): Promise<{ port: number; gone(): Promise<void> }> {
  let gone = Promise.resolve();
  const server = createServer((socket) => {
    gone = closing(socket);
    socket.on('error', silent);
    socket.once('data', heard).resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { port: portOf(server), gone: () => gone };
}

/** Sets variables of the environment until the test ends. */
function environment(values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    onTestFinished(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

describe('a dial through an HTTP proxy', () => {
  it('asks for a tunnel, also for ws, and reads what came with the 101', async () => {
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port);
    const dialer = new Dialer({ proxy: via.proxy });
    await greeted(dialer, 'ws://example.org/x?y', { 'X-A': '1' });
    expect(via.requests).toEqual([
      'CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\nConnection: close\r\n\r\n',
    ]);
    expect(via.passed()).toMatch(/^GET \/x\?y HTTP\/1\.1\r\nHost: example\.org\r\n[^]*X-A: 1\r\n/);
    await Promise.all([via.gone(), server.gone()]);
  });

  it.each([
    ['ws://example.org/', 'example.org:80'],
    ['wss://example.org/', 'example.org:443'],
    ['ws://example.org:8080/', 'example.org:8080'],
    ['wss://example.org:80/', 'example.org:80'],
    ['ws://10.0.0.1/', '10.0.0.1:80'],
    ['ws://[2001:DB8::1]/', '[2001:db8::1]:80'],
    ['wss://[2001:db8::1]:8443/', '[2001:db8::1]:8443'],
    ['http://EXAMPLE.org/', 'example.org:80'],
  ])('names host and port of %s', async (url, name) => {
    const requests: string[] = [];
    const via = await rawServer((socket, { text }) => {
      requests.push(text);
      socket.end('HTTP/1.1 403 No\r\n\r\n');
    });
    const proxy = new URL(`http://127.0.0.1:${via.port}`);
    expect(await inVain(url, { proxy }, { headers: { Host: 'other' } })).toMatchObject({
      status: 403,
    });
    expect(requests[0]?.startsWith(`CONNECT ${name} HTTP/1.1\r\nHost: ${name}\r\n`)).toBe(true);
    expect(requests[0]).not.toMatch(/other|websocket|authorization/i);
  });

  it('runs TLS over the tunnel for wss: the proxy sees no header of the request', async () => {
    const { cert: ca } = await certificate();
    const requests: string[] = [];
    const server = await rawTlsServer((socket, request) => {
      requests.push(request.text);
      greets(socket, request);
    });
    const via = await tunnelProxy(server.port);
    const dialer = new Dialer({ proxy: via.proxy, tls: { ca } });
    await greeted(dialer, 'wss://localhost:9/', { Authorization: 'Bearer hush', Cookie: 'a=hush' });
    expect(requests[0]).toContain('\r\nAuthorization: Bearer hush\r\nCookie: a=hush\r\n');
    expect(via.requests).toEqual([
      'CONNECT localhost:9 HTTP/1.1\r\nHost: localhost:9\r\nConnection: close\r\n\r\n',
    ]);
    // A TLS handshake record, and no plain text.
    expect(via.passed()).toMatch(/^\x16\x03/);
    expect(via.passed()).not.toMatch(/hush|GET|websocket/);
    await Promise.all([via.gone(), server.gone()]);
  });

  it('refuses a certificate for another name than the URL’s', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const via = await tunnelProxy(server.port);
    expect(await inVain('wss://example.org/', { proxy: via.proxy, tls: { ca } })).toMatchObject({
      message: /^websocket: TLS handshake with example\.org:443 failed: /,
      code: 'WS_ERR_TRANSPORT',
      cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
    await Promise.all([via.gone(), server.gone()]);
  });

  it.each([
    ['me:secret@', 'me:secret'],
    ['me:p%40ss%2Fw%3Ard%25@', 'me:p@ss/w:rd%'],
    ['m%C3%A9:%E2%82%AC@', 'mé:€'],
    ['m%2541e:x@', 'm%41e:x'],
    [':token@', ':token'],
    // WHATWG URLs do not distinguish these two. API keys are given so.
    ['KEY:@', 'KEY:'],
    ['KEY@', 'KEY:'],
  ])('sends the credentials %s as they decode, to the proxy only', async (userInfo, plain) => {
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port);
    const proxy = new URL(`http://${userInfo}127.0.0.1:${via.port}`);
    await greeted(new Dialer({ proxy }), 'ws://example.org/');
    const [, sent = ''] = /\r\nProxy-Authorization: Basic (.*)\r\n/.exec(via.requests[0]!) ?? [];
    expect(Buffer.from(sent, 'base64').toString()).toBe(plain);
    expect(via.passed()).not.toMatch(/proxy-/i);
  });

  it('never dials a Unix socket through it', async () => {
    const error = await inVain('ws+unix:/nowhere/app.sock', {
      netDial: undefined,
      proxy: () => {
        throw new Error('never');
      },
    });
    expect(error).toMatchObject({
      message:
        'websocket: connecting to /nowhere/app.sock failed: connect ENOENT /nowhere/app.sock; there is no such socket',
    });
  });

  it('does not take a stream that is open through it', async () => {
    const server = await rawServer(greets);
    const dialer = new Dialer({ proxy: new URL('http://nowhere.invalid') });
    const { netDial } = dialsTo(server.port);
    const conn = await dialer.handshake(netDial(''), 'ws://example.org/');
    conn.terminate();
  });

  it('makes netDial open the stream to the proxy', async () => {
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port);
    const { asked, netDial } = dialsTo(via.port);
    const proxy = new URL('http://proxy.example:3128');
    await greeted(new Dialer({ proxy, netDial }), 'ws://example.org/');
    expect(asked).toEqual(['proxy.example:3128']);
    expect(via.requests[0]).toMatch(/^CONNECT example\.org:80 /);
  });

  it('does not call netDialTLS for an HTTP proxy, even for wss', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const via = await tunnelProxy(server.port);
    const netDialTLS = (): never => {
      throw new Error('never');
    };
    await greeted(new Dialer({ proxy: via.proxy, netDialTLS, tls: { ca } }), 'wss://localhost/');
  });

  it.each<[string, string]>([
    ['ws', 'http'],
    ['wss', 'http'],
    ['ws', 'https'],
    ['wss', 'https'],
    ['wss', 'socks5'],
  ])('runs over streams that are not sockets (%s, %s)', async (scheme, proxyScheme) => {
    const { cert: ca } = await certificate();
    const server = await (scheme === 'ws' ? rawServer : rawTlsServer)(greets);
    const via =
      proxyScheme === 'socks5'
        ? await socksServer(['05 00', grants(server.port)])
        : await tunnelProxy(server.port, proxyScheme === 'https' ? 'https' : 'http');
    const netDial = (): Duplex => {
      const [ours, theirs] = duplexPair();
      theirs.pipe(connect(via.port, '127.0.0.1').on('error', silent)).pipe(theirs);
      return ours;
    };
    const transports = (): Transport => socketTransport(connect(via.port, '127.0.0.1'));
    const proxy = new URL(`${proxyScheme}://localhost`);
    for (const dials of [netDial, transports]) {
      const options = { proxy, netDial: dials, tls: { ca }, proxyTls: { ca } };
      await greeted(new Dialer(options), `${scheme}://localhost/`);
    }
  });

  it('fails without a listener there, and names the proxy', async () => {
    const proxy = new URL('http://me:hush@127.0.0.1:1');
    const error = (await inVain('ws://h/', { proxy, netDial: undefined })) as Error;
    expect(error).toMatchObject({
      message:
        'websocket: connecting to the proxy 127.0.0.1:1 failed: connect ECONNREFUSED 127.0.0.1:1; nothing listens there',
      code: 'WS_ERR_TRANSPORT',
      cause: { code: 'ECONNREFUSED' },
    });
    const cause = new Error('no way');
    const netDial = (): never => {
      throw cause;
    };
    expect(await inVain('ws://h/', { proxy, netDial })).toMatchObject({
      message: 'websocket: netDial to the proxy 127.0.0.1:1 failed: no way',
      cause,
    });
  });
});

describe('a dial through an HTTPS proxy', () => {
  it.each(['ws', 'wss'])('speaks TLS with the proxy, then %s with the server', async (scheme) => {
    const { cert: ca } = await certificate();
    const server = await (scheme === 'ws' ? rawServer : rawTlsServer)(greets);
    const via = await tunnelProxy(server.port, 'https');
    // Its self-test has a timer and sockets.
    await prepareReadBuffer();
    const resources = (): number =>
      process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).length;
    const before = resources();
    const conn = await new Dialer({ proxy: via.proxy, tls: { ca }, proxyTls: { ca } }).dial(
      `${scheme}://localhost/`,
    );
    expect((await conn.readMessage()).text()).toBe('hi');
    await conn.send('some words');
    conn.terminate();
    await Promise.all([via.gone(), server.gone()]);
    // Our own end closes in a later turn. A timer of this test would be counted.
    for (let turns = 0; turns < 1_000 && resources() > before; turns++) await turn();
    expect(resources()).toBeLessThanOrEqual(before);
    expect(via.requests[0]).toMatch(/^CONNECT localhost:(80|443) HTTP/);
  });

  it('carries large messages both ways, TLS in TLS', async () => {
    const { cert: ca } = await certificate();
    const size = 300_000;
    const server = await rawTlsServer((socket, request) => {
      const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 4, 0x93, 0xe0]);
      socket.write(request.ok());
      socket.write(Buffer.concat([header, Buffer.alloc(size, 7)]));
    });
    const via = await tunnelProxy(server.port, 'https');
    const dialer = new Dialer({ proxy: via.proxy, tls: { ca }, proxyTls: { ca } });
    const conn = await dialer.dial('wss://localhost/');
    const message = await conn.readMessage();
    expect(Buffer.compare(message.data, Buffer.alloc(size, 7))).toBe(0);
    await conn.send(Buffer.alloc(size, 8));
    conn.terminate();
    await Promise.all([via.gone(), server.gone()]);
  });

  it('refuses its certificate like a server’s', async () => {
    const via = await tunnelProxy(1, 'https');
    const error = await inVain('ws://example.org/', { proxy: via.proxy, netDial: undefined });
    expect(error).toMatchObject({
      message: new RegExp(
        `^websocket: TLS handshake with the proxy 127.0.0.1:${via.port} failed: .* proxyTls: { ca }$`,
      ),
      code: 'WS_ERR_TRANSPORT',
      cause: { code: /SELF_SIGNED/ },
    });
    expect(via.requests).toEqual([]);
    await via.gone();
  });

  it.each<[string, DialerOptions['tls']]>([
    ['rejectUnauthorized: false', { rejectUnauthorized: false }],
    ['an accepting checkServerIdentity', { checkServerIdentity: () => undefined }],
    ['ca', {}],
  ])('applies no %s of tls to it, so that no stranger gets its password', async (_, tls) => {
    const { cert: ca } = await certificate();
    const via = await tunnelProxy(1, 'https');
    const proxy = new URL(`https://me:hush@127.0.0.1:${via.port}`);
    for (const option of [proxy, () => proxy]) {
      const options = { proxy: option, tls: { ca, ...tls }, netDial: undefined };
      expect(await inVain('wss://example.org/', options)).toMatchObject({
        cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
      });
    }
    expect(via.requests).toEqual([]);
  });

  it('advises proxyTls when its certificate is for another name', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(() => {});
    const proxy = new URL(`https://127.0.0.2:${server.port}`);
    const { netDial } = dialsTo(server.port);
    expect(await inVain('ws://h/', { proxy, proxyTls: { ca }, netDial })).toMatchObject({
      message: `websocket: TLS handshake with the proxy 127.0.0.2:${server.port} failed: the certificate is for another name; dial that name, or set it with proxyTls: { servername }`,
    });
  });

  it('makes netDial open the stream below TLS to the proxy', async () => {
    const { cert: ca } = await certificate();
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port, 'https');
    const { asked, netDial } = dialsTo(via.port);
    const proxy = new URL('https://localhost');
    await greeted(new Dialer({ proxy, netDial, proxyTls: { ca } }), 'ws://example.org/');
    expect(asked).toEqual(['localhost:443']);
  });

  it('makes netDialTLS open the stream to the proxy, and not the server’s', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const via = await tunnelProxy(server.port, 'https');
    const asked: string[] = [];
    const netDialTLS = (address: DialAddress): TLSSocket => {
      asked.push(String(address));
      return connectTls({ port: via.port, host: '127.0.0.1', ca });
    };
    const proxy = new URL('https://proxy.example');
    await greeted(new Dialer({ proxy, netDialTLS, tls: { ca } }), 'wss://localhost/');
    expect(asked).toEqual(['proxy.example:443']);
  });

  it('gets certificate and server name of proxyTls, the server those of tls', async () => {
    const { cert: ca } = await certificate();
    const EC = { keyType: 'ec', algorithm: 'sha256' } as const;
    const mine = await generate([{ name: 'commonName', value: 'me' }], EC);
    const ours = await generate([{ name: 'commonName', value: 'me at the proxy' }], EC);
    const names: unknown[] = [];
    const certificates: unknown[] = [];
    const look = (socket: TLSSocket): void => {
      names.push(socket.servername);
      certificates.push(socket.getPeerX509Certificate()?.subject);
    };
    const { key, cert } = await certificate();
    const asks = { key, cert, requestCert: true, rejectUnauthorized: false };
    const target = createTlsServer(asks, (socket) => {
      look(socket);
      socket.once('data', (chunk) => void socket.write(seen(String(chunk)).ok()));
    });
    const proxy = createTlsServer(asks, (socket) => {
      look(socket);
      socket.once('data', () => {
        const upstream = connectPlain(target);
        socket.pipe(upstream).pipe(socket);
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
      });
    });
    for (const server of [target, proxy]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      server.on('secureConnection', (socket) => socket.on('error', silent));
      onTestFinished(() => void server.close());
    }
    const dialer = new Dialer({
      proxy: new URL(`https://127.0.0.1:${portOf(proxy)}`),
      tls: { ca, cert: mine.cert, key: mine.private, servername: 'localhost' },
      proxyTls: { ca, cert: ours.cert, key: ours.private, servername: 'localhost' },
    });
    const conn = await dialer.dial('wss://127.0.0.1/');
    const gone = closing(conn.underlyingConn as TLSSocket);
    conn.terminate();
    await gone;
    expect(names).toEqual(['localhost', 'localhost']);
    expect(certificates).toEqual(['CN=me at the proxy', 'CN=me']);
  });
});

describe('the option proxy', () => {
  it.each<[string, unknown, new () => Error, string]>(
    // biome-ignore format: a table
    [
      ['a string', 'http://u:hush@h', TypeError, "proxy: expected 'env', a URL, a function or false, got a string; a URL is given as new URL(...)"],
      ['true', true, TypeError, 'got boolean'],
      ['null', null, TypeError, 'got null'],
      ['an object', {}, TypeError, 'got Object'],
      ['another scheme', new URL('ftp://u:hush@h'), SyntaxError, 'proxy: scheme "ftp" is not one of http, https, socks5, socks5h, socks'],
      ['SOCKS 4', new URL('socks4://h'), SyntaxError, 'scheme "socks4" is not one of'],
      ['a URL without a host', new URL('socks5:///x'), SyntaxError, 'proxy: it has no valid host'],
      ['credentials that are not encoded', new URL('http://u:hush%zz@h'), SyntaxError, 'percent-encoded'],
      ['a slash in the password', new URL('http://user:443/hush@px'), SyntaxError, 'proxy: it has an @ after its host'],
      ['a slash in the user', new URL('socks5://us/er:hush@px'), SyntaxError, 'proxy: it has an @ after its host'],
      ['port 0', new URL('http://h:0'), SyntaxError, 'proxy: port 0'],
    ],
  )('refuses %s at once', (_, proxy, type, why) => {
    const make = () => new Dialer({ proxy: proxy as never });
    expect(make).toThrow(type);
    expect(make).toThrow(why);
    expect(make).not.toThrow('hush');
  });

  it('is a copy: a URL that is changed later changes nothing', async () => {
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port);
    const dialer = new Dialer({ proxy: via.proxy });
    via.proxy.port = '1';
    await greeted(dialer, 'ws://example.org/');
  });

  it('connects directly with false', async () => {
    environment({ http_proxy: 'http://127.0.0.1:1', all_proxy: 'http://127.0.0.1:1' });
    const server = await rawServer(greets);
    const { asked, netDial } = dialsTo(server.port);
    await greeted(new Dialer({ proxy: false, netDial }), 'ws://example.org/');
    expect(asked).toEqual(['example.org:80']);
  });

  it.each(['env', undefined] as const)(
    'reads the environment at each dial with %s',
    async (from) => {
      const server = await rawServer(greets);
      const via = await tunnelProxy(server.port);
      const { asked, netDial } = dialsTo(server.port);
      const dialer = new Dialer({ proxy: from, netDial: undefined });
      environment({ http_proxy: `127.0.0.1:${via.port}`, no_proxy: '' });
      await greeted(dialer, 'ws://example.org/');
      expect(via.requests[0]).toMatch(/^CONNECT example\.org:80 /);
      environment({ no_proxy: 'example.org' });
      await greeted(new Dialer({ proxy: 'env', netDial }), 'ws://example.org/');
      expect(asked).toEqual(['example.org:80']);
      environment({ no_proxy: '', http_proxy: 'ftp://u:hush@h' });
      await expect(dialer.dial('ws://example.org/')).rejects.toThrow(
        new SyntaxError(
          'http_proxy: scheme "ftp" is not one of http, https, socks5, socks5h, socks',
        ),
      );
    },
  );

  it.each([dial, defaultDialer.dial.bind(defaultDialer)])('is env for dial', async (f) => {
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port);
    environment({ HTTP_PROXY: via.proxy.href, http_proxy: '', no_proxy: '', NO_PROXY: '' });
    const conn = await f('ws://example.org/');
    conn.terminate();
    expect(via.requests).toHaveLength(1);
    const direct = await f(server.url);
    direct.terminate();
    expect(via.requests).toHaveLength(1);
  });

  it('asks a function with the URL and a signal', async () => {
    const server = await rawServer(greets);
    const via = await tunnelProxy(server.port);
    const asked: ProxyRequest[] = [];
    const proxy = async (request: ProxyRequest): Promise<URL> => {
      asked.push(request);
      return via.proxy;
    };
    await greeted(new Dialer({ proxy }), 'http://example.org/x?y#z');
    expect(asked[0]?.url).toEqual(new URL('ws://example.org/x?y'));
    expect(asked[0]?.signal.aborted).toBe(false);
    await greeted(new Dialer({ proxy: () => via.proxy }), 'ws://example.org/');
    expect(via.requests).toHaveLength(2);
  });

  it('connects directly where the function says undefined', async () => {
    const server = await rawServer(greets);
    await greeted(new Dialer({ proxy: () => undefined }), server.url);
    await greeted(new Dialer({ proxy: async () => undefined }), server.url);
  });

  it('is not called twice when it changes its URL', async () => {
    const server = await rawServer(greets);
    const { asked, netDial } = dialsTo(server.port);
    const proxy = ({ url }: ProxyRequest): undefined => {
      url.hostname = 'evil.example';
    };
    await greeted(new Dialer({ proxy, netDial }), 'ws://example.org/');
    expect(asked).toEqual(['example.org:80']);
  });

  it('ends the dial with the function’s own error', async () => {
    const reason = new Error('no proxy today');
    const throws = (): never => {
      throw reason;
    };
    expect(await inVain('ws://h/', { proxy: throws })).toBe(reason);
    expect(await inVain('ws://h/', { proxy: () => Promise.reject(reason) })).toBe(reason);
  });

  it.each([null, 'http://u:hush@h', 5, {}])('refuses %j from the function', async (value) => {
    const error = (await inVain('ws://h/', { proxy: () => value as never })) as Error;
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(
      /^proxy: expected a URL or undefined from the function, got \w+$/,
    );
  });

  it('refuses a function’s URL that is not the URL of a proxy', async () => {
    const error = await inVain('ws://h/', { proxy: () => new URL('ftp://u:hush@h') });
    expect(error).toEqual(
      new SyntaxError('proxy: scheme "ftp" is not one of http, https, socks5, socks5h, socks'),
    );
  });
});

describe('the bounds of a dial through a proxy', () => {
  const short = { handshakeTimeout: 200 };
  const timeIsUp = (): void => void vi.advanceTimersByTime(200);
  const at = (port: number, scheme = 'http') => new URL(`${scheme}://me:hush@127.0.0.1:${port}`);

  it('end the function', async () => {
    expect(await inVain('ws://h/', { ...short, proxy: forever })).toMatchObject({
      message:
        'websocket: handshake with h:80 timed out after 200 ms (option handshakeTimeout) while waiting for the proxy function',
    });
  });

  it('end the connecting', async () => {
    const options = { ...short, proxy: at(3128), netDial: forever };
    expect(await inVain('ws://h/', options)).toMatchObject({
      message:
        'websocket: handshake with h:80 timed out after 200 ms (option handshakeTimeout) while connecting to the proxy 127.0.0.1:3128',
    });
  });

  it.each(['http', 'socks5'])('end the wait for a silent %s proxy', async (scheme) => {
    stopTime();
    const via = await silentServer(timeIsUp);
    const error = await inVain('ws://h/', { ...short, proxy: at(via.port, scheme) });
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      message: `websocket: handshake with h:80 timed out after 200 ms (option handshakeTimeout) while waiting for the proxy 127.0.0.1:${via.port}`,
    });
    await via.gone();
  });

  it('end the TLS handshake with a silent proxy', async () => {
    stopTime();
    const via = await silentServer(timeIsUp);
    const proxy = at(via.port, 'https');
    const message = `websocket: handshake with h:80 timed out after 200 ms (option handshakeTimeout) while waiting for the TLS handshake with the proxy 127.0.0.1:${via.port}`;
    expect(await inVain('ws://h/', { ...short, proxy })).toMatchObject({ message });
    expect(await inVain('ws://h/', { ...short, proxy, netDial: undefined })).toMatchObject({
      message,
    });
    await via.gone();
  });

  it.each([
    ['the TLS handshake', 'wss', 443, 'waiting for the TLS handshake with h:443'],
    ['the wait', 'ws', 80, 'waiting for the answer'],
  ])('end %s with a silent server behind the proxy', async (_, scheme, port, stage) => {
    stopTime();
    const via = await rawServer((socket) => {
      socket.once('data', timeIsUp);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
    expect(await inVain(`${scheme}://h/`, { ...short, proxy: at(via.port) })).toMatchObject({
      message: `websocket: handshake with h:${port} timed out after 200 ms (option handshakeTimeout) while ${stage}`,
    });
    await via.gone();
  });

  it.each<[string, string, string]>([
    ['the wait for the proxy', 'ws://h/', 'http'],
    ['the wait for a SOCKS proxy', 'ws://h/', 'socks5'],
    ['the TLS handshake with the proxy', 'ws://h/', 'https'],
  ])('include a signal, in %s', async (_, url, scheme) => {
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error('enough');
    const via = await silentServer(() => controller.abort(reason));
    expect(await inVain(url, { proxy: at(via.port, scheme) }, { signal })).toBe(reason);
    await via.gone();
  });

  it.each(['ws', 'wss'])('include a signal, after the proxy (%s)', async (scheme) => {
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error('enough');
    const via = await rawServer((socket) => {
      socket.once('data', () => controller.abort(reason));
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
    expect(await inVain(`${scheme}://h/`, { proxy: at(via.port) }, { signal })).toBe(reason);
    await via.gone();
  });

  it('include a signal, which the function gets', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    let heard: AbortSignal | undefined;
    const proxy = ({ signal }: ProxyRequest): Promise<never> => {
      heard = signal;
      setImmediate(() => controller.abort(reason));
      return forever();
    };
    const { signal } = controller;
    expect(await inVain('ws://h/', { proxy }, { signal })).toBe(reason);
    expect(heard?.reason).toBe(reason);
    expect(getEventListeners(heard!, 'abort')).toEqual([]);
  });
});

describe('happy eyeballs', () => {
  /** Resolves every name to two addresses, of which only the second answers. */
  function twoAddresses(): void {
    const lookup = vi.spyOn(dns, 'lookup') as unknown as {
      mockImplementation(f: (...args: unknown[]) => void): void;
    };
    lookup.mockImplementation((_host, options, done) => {
      expect(options).toMatchObject({ all: true });
      const found = [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ];
      process.nextTick(done as (...args: unknown[]) => void, null, found);
    });
    onTestFinished(() => void vi.restoreAllMocks());
  }

  it.each(['ws', 'wss', 'ws through http', 'wss through https', 'ws through socks5'])(
    'try the next address: %s',
    async (how) => {
      const { cert: ca } = await certificate();
      const [scheme = '', , proxyScheme] = how.split(' ');
      const server = await (scheme === 'ws' ? rawServer : rawTlsServer)(greets);
      const via =
        proxyScheme === 'socks5'
          ? await socksServer(['05 00', grants(server.port)])
          : await tunnelProxy(server.port, proxyScheme === 'https' ? 'https' : 'http');
      twoAddresses();
      const proxy = proxyScheme && new URL(`${proxyScheme}://localhost:${via.port}`);
      const tls = { ca, checkServerIdentity: () => undefined };
      await greeted(
        new Dialer({ proxy: proxy || false, tls, proxyTls: tls }),
        `${scheme}://two.example:${server.port}/`,
      );
    },
  );
});

describe('a refusal by a proxy', () => {
  it('is a BadHandshakeError that shows no credentials', async () => {
    const via = await rawServer(
      says('HTTP/1.1 407 \x9b2J\r\nProxy-Authenticate: Basic realm="x"\r\n\r\nwho?', true),
    );
    const proxy = new URL(`http://me:hush@127.0.0.1:${via.port}`);
    const error = (await inVain('ws://h/', { proxy })) as BadHandshakeError;
    expect(error).toBeInstanceOf(BadHandshakeError);
    expect(error.message).toBe(
      `websocket: bad handshake: the proxy 127.0.0.1:${via.port} answered 407 Proxy Authentication Required, not 2xx`,
    );
    expect(error.status).toBe(407);
    expect(error.headers['proxy-authenticate']).toBe('Basic realm="x"');
    expect(error.body.toString()).toBe('who?');
    const told = `${error.stack} ${JSON.stringify(error)}`;
    expect(told).not.toMatch(/hush|bWU6aHVzaA/);
  });
});
