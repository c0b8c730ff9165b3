import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { CookieJar } from 'tough-cookie';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { BadHandshakeError, type DialAddress, Dialer, type DialerOptions } from '../src/index.ts';
import { inVain, stopTime } from './leftovers.ts';
import { dialsTo, splice, tunnelProxy } from './proxies.ts';
import { certificate, type RawServer, rawServer, rawTlsServer } from './servers.ts';

const to = (location: string, status = 302, extra = ''): string =>
  `HTTP/1.1 ${status} Whatever\r\nLocation: ${location}\r\n${extra}Content-Length: 0\r\n\r\n`;

interface Site extends RawServer {
  /** The requests, oldest first. */
  readonly requests: string[];
}

/** A server with an answer for each path; other paths get a handshake and a greeting. */
async function site(
  pages: Readonly<Record<string, string>> = {},
  start: typeof rawServer = rawServer,
): Promise<Site> {
  const requests: string[] = [];
  const server = await start((socket, request) => {
    requests.push(request.text);
    const path = /^GET (\S*) /.exec(request.text)?.[1] ?? '';
    const page = pages[path];
    if (page === undefined) socket.write(`${request.ok()}\x81\x02hi`, 'latin1');
    else socket.end(page, 'latin1');
  });
  return { ...server, requests };
}

/** Dials, reads the greeting, and drops the connection. */
async function greeted(url: string, options: DialerOptions, dialOptions = {}): Promise<void> {
  const conn = await new Dialer({ followRedirects: 5, ...options }).dial(url, dialOptions);
  const { response } = conn;
  expect((await conn.readMessage()).text()).toBe('hi');
  expect(response.status).toBe(101);
  conn.terminate();
}

const first = (request: string | undefined): string | undefined => request?.split('\r\n')[0];

describe('a redirect', () => {
  it('is a BadHandshakeError by default, with its Location', async () => {
    const server = await site({ '/a': to('/b') });
    for (const followRedirects of [undefined, false, 0] as const) {
      const error = await inVain(`${server.url}/a`, { followRedirects });
      expect(error).toBeInstanceOf(BadHandshakeError);
      expect(error).toMatchObject({
        message: 'websocket: bad handshake: the server answered 302 Found, not 101',
        status: 302,
        headers: { location: '/b' },
      });
    }
    expect(server.requests).toHaveLength(3);
  });

  it.each([301, 302, 303, 307, 308])(
    'of status %i is followed with followRedirects',
    async (status) => {
      const server = await site({ '/a': to('/b', status) });
      await greeted(`${server.url}/a`, { followRedirects: 1 });
      expect(server.requests.map(first)).toEqual(['GET /a HTTP/1.1', 'GET /b HTTP/1.1']);
      await server.gone();
    },
  );

  it.each([200, 300, 304, 305, 306, 400, 503])(
    'is not a redirect with status %i',
    async (status) => {
      const server = await site({ '/a': to('/b', status) });
      expect(await inVain(`${server.url}/a`, { followRedirects: 5 })).toMatchObject({ status });
      expect(server.requests).toHaveLength(1);
    },
  );

  it.each<[location: string, path: string]>([
    ['/b', '/b'],
    ['b', '/dir/b'],
    ['./b', '/dir/b'],
    ['../b', '/b'],
    ['../../../b', '/b'],
    ['?q=2', '/dir/a?q=2'],
    ['', ''],
    ['/b?x#fragment', '/b?x'],
    ['#fragment', ''],
    ['/b c', '/b%20c'],
    ['/b\\c?d', ''],
    ['/b?\\', '/b?\\'],
    ['//127.0.0.1:PORT/b', '/b'],
    ['ws://127.0.0.1:PORT/b', '/b'],
    ['WS://127.0.0.1:PORT/b#c', '/b'],
    ['http://127.0.0.1:PORT/b', '/b'],
    ['http://127.0.0.1:PORT', '/'],
  ])('to %j is resolved against the URL', async (location, path) => {
    const pages: Record<string, string> = {};
    const server = await site(pages);
    pages['/dir/a?q'] = to(location.replace('PORT', String(server.port)));
    const dialed = greeted(`${server.url}/dir/a?q`, { followRedirects: 1 });
    if (path === '') {
      await expect(dialed).rejects.toThrow(BadHandshakeError);
    } else {
      await dialed;
      expect(first(server.requests[1])).toBe(`GET ${path} HTTP/1.1`);
    }
  });

  it.each<[answer: string, why: string]>([
    ['HTTP/1.1 302 Found\r\n\r\n', 'it has no Location'],
    ['HTTP/1.1 302 Found\r\nLocation:\r\n\r\n', 'it has no Location'],
    ['HTTP/1.1 302 Found\r\nLocation: /b\r\nLocation: /c\r\n\r\n', 'it has more than one Location'],
    [to('http://me:hush@127.0.0.1/'), 'user info in a URL is not supported'],
    [to('//me:hush@127.0.0.1/'), 'user info in a URL is not supported'],
    [to('ws+unix:/run/app.sock:/'), 'scheme "ws+unix" is not one of ws, wss, http, https'],
    [to('file:///etc/passwd'), 'scheme "file" is not one of'],
    [to('javascript:alert(1)'), 'scheme "javascript" is not one of'],
    [to('ftp://h/'), 'scheme "ftp" is not one of'],
    [to('http:/b'), 'it has no host'],
    [to('http:b'), 'it has no host'],
    [to('http://'), 'it has no host'],
    [to('///b'), 'it has no host'],
    [to('//h:99999/'), 'port "99999" is not between 1 and 65535'],
    [to('http://0x7f.1/'), 'host "0x7f.1" is another spelling of 127.0.0.1'],
    [to('/\\evil.example/'), 'a backslash'],
    [to('\\\\evil.example/'), 'a backslash'],
    [to('http://h\\@evil.example/'), 'user info in a URL is not supported'],
    [to('http://h\\.evil.example/'), 'backslash'],
    [to('/b\tc'), 'a character that is not allowed in a URL'],
    [to('/\t/evil.example/'), 'a character that is not allowed in a URL'],
    [to('/\xe4'), 'a character that is not allowed in a URL'],
    [to('http://\xc3\xa4.example/'), 'a character that is not allowed in a URL'],
  ])('that cannot be followed is a BadHandshakeError: %j', async (answer, why) => {
    const server = await site({ '/a': answer });
    const error = (await inVain(`${server.url}/a`, { followRedirects: 5 })) as BadHandshakeError;
    expect(error).toBeInstanceOf(BadHandshakeError);
    expect(error.status).toBe(302);
    expect(error.message).toMatch(
      /^websocket: bad handshake: the server answered 302 Found, not 101; it /,
    );
    expect(error.message).toContain(why);
    expect(error.message).not.toContain('hush');
    await server.gone();
  });

  it('has a new key', async () => {
    const other = await site();
    const server = await site({ '/a': to('/b'), '/b': to(`${other.url}/c`) });
    await greeted(`${server.url}/a`, { followRedirects: 2 });
    const requests = [...server.requests, ...other.requests];
    const keys = requests.map((text) => /Sec-WebSocket-Key: (.*)\r\n/.exec(text)?.[1]);
    expect(new Set(keys).size).toBe(3);
  });
});

describe('the subprotocols of a redirected dial', () => {
  const offers = (request: string | undefined): string[] =>
    [...(request ?? '').matchAll(/sec-websocket-protocol: (.*)\r\n/gi)].map(([, list]) => list!);

  /** Follows redirects to two paths of a server, and then to a location. Returns the offers. */
  async function offered(
    location: (port: number) => string,
    options: DialerOptions,
    dialOptions = {},
  ): Promise<string[][]> {
    const other = await site();
    const server = await site({ '/a': to('/b'), '/b': to(location(other.port)) });
    const netDial = (address: DialAddress): Duplex => dialsTo(address.port).netDial(address);
    await greeted(`${server.url}/a`, { ...options, netDial }, dialOptions);
    expect(other.requests).toHaveLength(1);
    return [...server.requests, ...other.requests].map(offers);
  }
  const port = (to: number): string => `ws://127.0.0.1:${to}/c`;
  const host = (to: number): string => `ws://localhost:${to}/c`;

  it.each<[string, DialerOptions, object]>([
    ['the Dialer', { subprotocols: ['v1', 'token'] }, {}],
    ['the dial', {}, { subprotocols: ['v1', 'token'] }],
  ])('go to another port of the host, not to another host (%s)', async (_, options, ofDial) => {
    const both = ['v1, token'];
    expect(await offered(port, options, ofDial)).toEqual([both, both, both]);
    expect(await offered(host, options, ofDial)).toEqual([both, both, []]);
  });

  it('go to the same server only, when a header offers them', async () => {
    const headers = { 'Sec-WebSocket-Protocol': ['v1', 'token'], 'X-A': '1' };
    for (const location of [port, host]) {
      const both = ['v1', 'token'];
      expect(await offered(location, {}, { headers })).toEqual([both, both, []]);
    }
  });

  it('do not go to another host again when a redirect returns', async () => {
    const pages: Record<string, string> = {};
    const server = await site(pages);
    const other = await site({ '/b': to(`${server.url}/c`) });
    pages['/a'] = to(`ws://localhost:${other.port}/b`);
    const netDial = (address: DialAddress): Duplex => dialsTo(address.port).netDial(address);
    await greeted(`${server.url}/a`, { netDial, subprotocols: ['token'] });
    expect([...server.requests, ...other.requests].map(offers)).toEqual([['token'], [], []]);
  });

  it('are no longer accepted from a host that did not get them', async () => {
    const other = await rawServer((socket, request) => {
      socket.write(request.ok('Sec-WebSocket-Protocol: v1\r\n'));
    });
    const server = await site({ '/a': to(`ws://localhost:${other.port}/b`) });
    const netDial = (address: DialAddress): Duplex => dialsTo(address.port).netDial(address);
    const options = { followRedirects: 1, netDial, subprotocols: ['v1'] };
    expect(await inVain(`${server.url}/a`, options)).toBeInstanceOf(BadHandshakeError);
  });
});

describe('a redirect to the same server', () => {
  const headers = { Host: 'virtual.example', Authorization: 'Bearer x', Cookie: 'a=b', 'X-A': '1' };

  it.each(['/b', 'ws://127.0.0.1:PORT/b', 'http://127.0.0.1:PORT/b'])(
    'keeps the caller’s headers (%s)',
    async (location) => {
      const pages: Record<string, string> = {};
      const server = await site(pages);
      pages['/a'] = to(location.replace('PORT', String(server.port)));
      await greeted(`${server.url}/a`, {}, { headers });
      const [before = '', after = ''] = server.requests;
      const shape = (text: string) => text.replace(/Key: .*/, '').replace('GET /a', 'GET /b');
      expect(shape(after)).toBe(shape(before));
      expect(after).toContain('\r\nHost: virtual.example\r\n');
      expect(after).toContain('\r\nAuthorization: Bearer x\r\nCookie: a=b\r\nX-A: 1\r\n');
    },
  );

  it('keeps headers of an iterator that yields once', async () => {
    const server = await site({ '/a': to('/b') });
    const once = Object.entries(headers)[Symbol.iterator]() as Iterable<[string, string]>;
    await greeted(`${server.url}/a`, {}, { headers: once });
    expect(server.requests[1]).toContain('X-A: 1');
  });
});

describe('a redirect to another server', () => {
  const headers = {
    Host: 'virtual.example',
    Authorization: 'Bearer hush',
    Cookie: 'session=hush',
    'Proxy-Authorization': 'Basic hush',
    'X-Api-Key': 'hush',
    'User-Agent': 'hush',
    Origin: 'https://hush.example',
  };

  it('goes without any of the caller’s headers', async () => {
    const other = await site();
    const server = await site({ '/a': to(`${other.url}/b`) });
    await greeted(`${server.url}/a`, {}, { headers });
    expect(server.requests[0]).toMatch(/hush/);
    expect(other.requests[0]!.replace(/Key: .*/, 'Key: K')).toBe(
      `GET /b HTTP/1.1\r\nHost: 127.0.0.1:${other.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: K\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
  });

  it.each<[string, string]>([
    ['another name', 'ws://localhost:PORT/b'],
    ['another port, which netDial makes the same', 'ws://127.0.0.1:1/b'],
    ['a name below', 'ws://a.127.0.0.1.example/b'],
  ])('is one to %s', async (_, location) => {
    const pages: Record<string, string> = {};
    const server = await site(pages);
    pages['/a'] = to(location.replace('PORT', String(server.port)));
    const { netDial } = dialsTo(server.port);
    await greeted(`${server.url}/a`, { netDial }, { headers });
    expect(server.requests[1]).not.toMatch(/hush|virtual/);
  });

  it('does not send them again when a redirect returns', async () => {
    const pages: Record<string, string> = {};
    const server = await site(pages);
    const other = await site({ '/b': to(`${server.url}/c`) });
    pages['/a'] = to(`${other.url}/b`);
    await greeted(`${server.url}/a`, {}, { headers });
    expect(server.requests).toHaveLength(2);
    expect(server.requests[1]).not.toMatch(/hush|virtual/);
  });

  it('goes without the client certificate and server name of the TLS options', async () => {
    const { cert: ca } = await certificate();
    const mine = await generate([{ name: 'commonName', value: 'me' }], {
      keyType: 'ec',
      algorithm: 'sha256',
    });
    const other = await site({}, rawTlsServer);
    const server = await site({ '/a': to(`${other.url}/b`) }, rawTlsServer);
    const asked: string[] = [];
    const netDial = (address: DialAddress): Duplex => {
      asked.push(String(address));
      return dialsTo(address.port).netDial(address);
    };
    const tls = { ca, cert: mine.cert, key: mine.private, servername: 'localhost' };
    const conn = await new Dialer({ followRedirects: 1, netDial, tls }).dial(`${server.url}/a`);
    const socket = conn.underlyingConn as TLSSocket & { servername: unknown };
    expect(asked).toEqual([`127.0.0.1:${server.port}`, `127.0.0.1:${other.port}`]);
    // For an address no name is sent, so only the names in the certificate count.
    expect(socket.servername).toBe(false);
    expect(socket.getCertificate()).not.toMatchObject({ subject: { CN: 'me' } });
    conn.terminate();
  });
});

describe('a redirect to a server whose certificate is for another name', () => {
  it('gives no advice about servername, which does not apply to it', async () => {
    const { cert: ca } = await certificate();
    const other = await site({}, rawTlsServer);
    const server = await site({ '/a': to(`wss://127.0.0.2:${other.port}/b`) });
    const netDial = (address: DialAddress): Duplex => dialsTo(address.port).netDial(address);
    const options = { followRedirects: 1, tls: { ca }, netDial };
    expect(await inVain(`${server.url}/a`, options)).toMatchObject({
      message: `websocket: TLS handshake with 127.0.0.2:${other.port} failed: the certificate is for another name`,
    });
  });
});

describe('a redirect from a Unix socket', () => {
  /** The URL of a Unix socket for the server, and its folder to remove. */
  async function unixUrl(port: number): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'ws-redirect-'));
    const path = join(folder, 'app.sock');
    const server = createServer((socket) => splice(socket, port));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(async () => {
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    });
    return `ws+unix:${path}:/a`;
  }

  it('stays there with a path', async () => {
    const server = await site({ '/a': to('/b?c') });
    const options = { subprotocols: ['v1'], headers: { 'X-A': '1' } };
    await greeted(await unixUrl(server.port), {}, options);
    expect(server.requests[1]).toMatch(/^GET \/b\?c HTTP\/1\.1\r\nHost: localhost\r\n[^]*X-A: 1/);
    expect(server.requests[1]).toContain('\r\nSec-WebSocket-Protocol: v1\r\n');
  });

  it('is one to another server with a URL', async () => {
    const other = await site();
    const server = await site({ '/a': to(`http://localhost:${other.port}/b`) });
    const options = { subprotocols: ['v1'], headers: { 'X-A': '1' } };
    await greeted(await unixUrl(server.port), {}, options);
    expect(first(other.requests[0])).toBe('GET /b HTTP/1.1');
    expect(other.requests[0]).not.toMatch(/X-A|Protocol/);
  });
});

describe('redirects between ws and wss', () => {
  it('lead from ws to wss', async () => {
    const { cert: ca } = await certificate();
    for (const scheme of ['wss', 'https']) {
      const secure = await site({}, rawTlsServer);
      const server = await site({ '/a': to(`${scheme}://127.0.0.1:${secure.port}/b`) });
      await greeted(`${server.url}/a`, { tls: { ca } });
      expect(first(secure.requests[0])).toBe('GET /b HTTP/1.1');
    }
  });

  it.each(['ws', 'http'])('never lead from wss to %s', async (scheme) => {
    const { cert: ca } = await certificate();
    const plain = await site();
    const server = await site({ '/a': to(`${scheme}://127.0.0.1:${plain.port}/b`) }, rawTlsServer);
    const error = await inVain(`${server.url}/a`, { followRedirects: 5, tls: { ca } });
    expect(error).toMatchObject({
      message: `websocket: bad handshake: the server answered 302 Found, not 101; it redirects from wss to ws, to 127.0.0.1:${plain.port}`,
      status: 302,
    });
    expect(plain.sockets).toEqual([]);
    await server.gone();
  });

  it('stay with wss without a scheme', async () => {
    const { cert: ca } = await certificate();
    const other = await site({}, rawTlsServer);
    const server = await site({ '/a': to(`//127.0.0.1:${other.port}/b`) }, rawTlsServer);
    await greeted(`${server.url}/a`, { tls: { ca } });
    expect(other.requests).toHaveLength(1);
  });

  it('are refused only back from wss', async () => {
    const { cert: ca } = await certificate();
    const pages: Record<string, string> = {};
    const plain = await site(pages);
    const secure = await site({ '/b': to(`${plain.url}/c`) }, rawTlsServer);
    pages['/a'] = to(`${secure.url}/b`);
    const error = await inVain(`${plain.url}/a`, { followRedirects: 5, tls: { ca } });
    expect((error as Error).message).toContain('from wss to ws');
    expect(plain.requests).toHaveLength(1);
  });
});

describe('followRedirects', () => {
  it.each([1, 3, 5])('of %i ends a loop', async (followRedirects) => {
    const server = await site({ '/a': to('/a', 307, 'X-Last: yes\r\n') });
    const error = (await inVain(`${server.url}/a`, { followRedirects })) as BadHandshakeError;
    expect(error).toBeInstanceOf(BadHandshakeError);
    expect(error.message).toBe(
      `websocket: bad handshake: the server answered 307 Temporary Redirect, not 101; ${followRedirects} redirects were followed, and followRedirects allows no more`,
    );
    expect(error.status).toBe(307);
    expect(error.headers['x-last']).toBe('yes');
    expect(server.requests).toHaveLength(followRedirects + 1);
    await server.gone();
  });

  it('lets exactly as many through', async () => {
    const server = await site({ '/1': to('/2'), '/2': to('/3') });
    await greeted(`${server.url}/1`, { followRedirects: 2 });
    expect(await inVain(`${server.url}/1`, { followRedirects: 1 })).toMatchObject({ status: 302 });
  });

  it('destroys each socket before the next is opened', async () => {
    const server = await site({ '/1': to('/2'), '/2': to('/3') });
    const streams: Duplex[] = [];
    const netDial = (address: DialAddress): Duplex => {
      expect(streams.every(({ destroyed }) => destroyed)).toBe(true);
      const stream = dialsTo(address.port).netDial(address);
      streams.push(stream);
      return stream;
    };
    await greeted(`${server.url}/1`, { netDial });
    expect(streams).toHaveLength(3);
    await server.gone();
  });

  it('does nothing for a stream that is open already', async () => {
    const server = await site({ '/a': to('/b') });
    const stream = dialsTo(server.port).netDial('');
    const dialed = new Dialer({ followRedirects: 5 }).handshake(stream, `${server.url}/a`);
    await expect(dialed).rejects.toMatchObject({
      message: 'websocket: bad handshake: the server answered 302 Found, not 101',
      status: 302,
    });
    expect(stream.destroyed).toBe(true);
  });

  it('has one timeout for all steps', async () => {
    stopTime();
    const half = (): void => void vi.advanceTimersByTime(30);
    const silent = await rawServer(half);
    const server = await rawServer((socket) => {
      half();
      socket.end(to(silent.url));
    });
    const error = await inVain(`${server.url}/a`, { followRedirects: 5, handshakeTimeout: 60 });
    expect(error).toMatchObject({
      message: `websocket: handshake with 127.0.0.1:${silent.port} timed out after 60 ms (option handshakeTimeout) while waiting for the answer`,
    });
    await Promise.all([server.gone(), silent.gone()]);
  });

  it('ends with the signal, wherever it is', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error('enough');
    const silent = await rawServer(() => controller.abort(reason));
    const server = await site({ '/a': to(silent.url) });
    expect(await inVain(`${server.url}/a`, { followRedirects: 5 }, { signal })).toBe(reason);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await Promise.all([server.gone(), silent.gone()]);
  });

  it('asks the proxy function again for each URL', async () => {
    const other = await site();
    const server = await site({ '/a': to(`${other.url}/b`) });
    const via = await tunnelProxy(other.port);
    const asked: string[] = [];
    const proxy = ({ url }: { url: URL }): URL | undefined => {
      asked.push(url.href);
      return url.pathname === '/b' ? via.proxy : undefined;
    };
    await greeted(`${server.url}/a`, { proxy });
    expect(asked).toEqual([`${server.url}/a`, `${other.url}/b`]);
    expect(via.requests[0]).toMatch(new RegExp(`^CONNECT 127.0.0.1:${other.port} `));
    expect(via.passed()).toMatch(/^GET \/b /);
  });
});

describe('redirects with a jar', () => {
  it('keep the cookies of each answer, and send those of each URL', async () => {
    const other = await site({ '/c': to('/d', 302, 'Set-Cookie: theirs=3; HttpOnly\r\n') });
    const server = await site({
      '/a': to('/b', 302, 'Set-Cookie: one=1\r\nSet-Cookie: two=2; Path=/b\r\n'),
      '/b': to(`http://localhost:${other.port}/c`, 307, 'Set-Cookie: deep=4; Path=/deep\r\n'),
    });
    const jar = new CookieJar();
    await jar.setCookie('known=0', 'http://localhost/');
    await greeted(`${server.url}/a`, { jar });
    const cookies = [...server.requests, ...other.requests].map(
      (text) => /\r\nCookie: (.*)\r\n/.exec(text)?.[1],
    );
    expect(cookies).toEqual([undefined, 'two=2; one=1', 'known=0', 'known=0; theirs=3']);
    expect(await jar.getCookieString('http://127.0.0.1/deep')).toContain('deep=4');
  });

  it('send the jar’s cookies to another server, not those of the headers', async () => {
    const other = await site();
    const server = await site({ '/a': to(`http://localhost:${other.port}/c`) });
    const jar = new CookieJar();
    await jar.setCookie('known=0', 'http://localhost/');
    await greeted(`${server.url}/a`, { jar }, { headers: { Cookie: 'own=hush' } });
    expect(server.requests[0]).toContain('Cookie: own=hush');
    expect(other.requests[0]).toContain('\r\nCookie: known=0\r\n');
    expect(other.requests[0]).not.toContain('hush');
  });
});
