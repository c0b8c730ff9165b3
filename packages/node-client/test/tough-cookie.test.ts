import { connect } from 'node:net';
import { CookieJar } from 'tough-cookie';
import { describe, expect, it } from 'vitest';
import { BadHandshakeError, Dialer, type DialerOptions } from '../src/index.ts';
import { rawServer, rawTlsServer, type SeenRequest } from './servers.ts';

/** Servers for every name, one for ws and one for wss, and a Dialer with a jar. */
async function site(jar = new CookieJar(), options: DialerOptions = {}) {
  let answer = '';
  let status = 101;
  const requests: string[] = [];
  const reply = (socket: { write(text: string): unknown }, request: SeenRequest): void => {
    requests.push(request.text);
    const refusal = `HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n${answer}\r\n`;
    socket.write(status === 101 ? request.ok(answer) : refusal);
  };
  const [plain, secure] = await Promise.all([rawServer(reply), rawTlsServer(reply)]);
  const dialer = new Dialer({
    jar,
    tls: { rejectUnauthorized: false },
    netDial: ({ port }) => connect(port === 443 ? secure.port : plain.port, '127.0.0.1'),
    ...options,
  });

  /** Dials, gets these cookies, and returns the ones that it sent. */
  async function dial(url: string, cookies: readonly string[] = [], code = 101): Promise<string> {
    answer = cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join('');
    status = code;
    const dialed = dialer.dial(url);
    if (code === 101) (await dialed).terminate();
    else await expect(dialed).rejects.toBeInstanceOf(BadHandshakeError);
    return /^Cookie: (.*)$/im.exec(requests.at(-1)!)?.[1]?.trim() ?? '';
  }
  return { dial, jar };
}

describe('a dial with the jar of tough-cookie', () => {
  it.each([101, 302, 401, 503])('sends the cookies of a %i back', async (status) => {
    const { dial } = await site();
    expect(await dial('ws://example.org/', ['a=1', 'b=2; HttpOnly'], status)).toBe('');
    expect(await dial('ws://example.org/')).toBe('a=1; b=2');
  });

  it('sends several cookies in one line, those of longer paths first', async () => {
    const { dial } = await site();
    const many = Array.from({ length: 20 }, (_, i) => `c${i}=${i}; Path=/`);
    await dial('ws://example.org/x/y', [...many, 'deep=1; Path=/x']);
    const sent = await dial('ws://example.org/x/y');
    expect(sent).toBe(`deep=1; ${many.map((cookie) => cookie.split(';')[0]).join('; ')}`);
  });

  it('takes a comma and an equals sign for part of a value', async () => {
    const { dial } = await site();
    await dial('ws://example.org/', ['a=1, b=2', 'c=d=e']);
    expect(await dial('ws://example.org/')).toBe('a=1, b=2; c=d=e');
  });

  it.each<[cookie: string, from: string, to: string, sent: string]>([
    // Path
    ['a=1; Path=/feed', '/', '/feed', 'a=1'],
    ['a=1; Path=/feed', '/', '/feed/x?y', 'a=1'],
    ['a=1; Path=/feed', '/', '/feeds', ''],
    ['a=1; Path=/feed', '/', '/', ''],
    ['a=1', '/feed/x', '/feed/y', 'a=1'],
    ['a=1', '/feed/x', '/', ''],
    // Domain
    ['a=1', '//a.example.org/', '//a.example.org/', 'a=1'],
    ['a=1', '//example.org/', '//a.example.org/', ''],
    ['a=1; Domain=example.org', '//a.example.org/', '//b.example.org/', 'a=1'],
    ['a=1; Domain=.example.org', '//a.example.org/', '//example.org/', 'a=1'],
    ['a=1; Domain=example.com', '//example.org/', '//example.com/', ''],
    ['a=1; Domain=a.example.org', '//example.org/', '//a.example.org/', ''],
    ['a=1; Domain=org', '//example.org/', '//example.org/', ''],
    // Expiry
    ['a=1; Max-Age=60', '/', '/', 'a=1'],
    ['a=1; Max-Age=0', '/', '/', ''],
    ['a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT', '/', '/', ''],
    ['a=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT', '/', '/', 'a=1'],
    // The port does not count (RFC 6265, section 8.5).
    ['a=1', '//example.org:8001/', '//example.org:8002/', 'a=1'],
    // Invalid cookies
    ['=; Path=/', '/', '/', ''],
    ['', '/', '/', ''],
    ['; Domain=', '/', '/', ''],
  ])('knows that %j of %s goes with %s as %j', async (cookie, from, to, sent) => {
    const { dial } = await site();
    const url = (path: string): string =>
      `ws:${path.startsWith('//') ? '' : '//example.org'}${path}`;
    await dial(url(from), [cookie]);
    expect(await dial(url(to))).toBe(sent);
  });

  it('sends a Secure cookie over wss only', async () => {
    const { dial } = await site();
    await dial('wss://example.org/', ['a=1; Secure', 'b=2', '__Host-c=3; Secure; Path=/']);
    expect(await dial('wss://example.org/')).toBe('a=1; b=2; __Host-c=3');
    expect(await dial('ws://example.org/')).toBe('b=2');
    expect(await dial('https://example.org/')).toBe('a=1; b=2; __Host-c=3');
    expect(await dial('http://example.org/')).toBe('b=2');
  });

  it('removes a cookie that the server deletes, and replaces one that it changes', async () => {
    const { dial } = await site();
    await dial('ws://example.org/', ['a=1', 'b=1']);
    expect(await dial('ws://example.org/', ['a=; Max-Age=0', 'b=2'])).toBe('a=1; b=1');
    expect(await dial('ws://example.org/')).toBe('b=2');
  });

  it('sends cookies that the jar has from other requests, such as a login over HTTP', async () => {
    const { dial, jar } = await site();
    await jar.setCookie('sid=abc; HttpOnly; Secure; SameSite=Lax', 'https://example.org/login');
    expect(await dial('wss://example.org/feed')).toBe('sid=abc');
    expect(await dial('ws://example.org/feed')).toBe('');
  });

  it('shows the cookies of a dial to the jar’s owner', async () => {
    const { dial, jar } = await site();
    await dial('ws://example.org/feed/1', ['a=1; HttpOnly', 'broken']);
    const cookies = await jar.getCookies('http://example.org/feed/2');
    expect(cookies.map(({ key, httpOnly, path }) => ({ key, httpOnly, path }))).toEqual([
      { key: 'a', httpOnly: true, path: '/feed' },
    ]);
  });
});
