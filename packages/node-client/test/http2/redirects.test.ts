import { once } from 'node:events';
import { connect, createServer, type Http2Server, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { BadHandshakeError, type CookieJar, Dialer } from '../../src/index.ts';

nothingLeft();

interface Site {
  readonly port: number;
  readonly url: string;
  /** The heads of the requests. */
  readonly seen: IncomingHttpHeaders[];
}

/** A server that redirects these paths, and accepts all others. */
async function site(locations: Readonly<Record<string, string>>): Promise<Site> {
  const seen: IncomingHttpHeaders[] = [];
  const server: Http2Server = createServer({ settings: { enableConnectProtocol: true } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    seen.push(headers);
    const location = locations[headers[':path']!];
    if (location === undefined) stream.respond({ ':status': 200 });
    else stream.respond({ ':status': 302, location }, { endStream: true });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { port, url: `ws://127.0.0.1:${port}`, seen };
}

/** Has a cookie for each URL: the URL itself. */
const jar: CookieJar = {
  getCookieString: (url) => `url=${encodeURIComponent(url)}`,
  setCookie() {},
};

describe('a redirect over the session of the option http2', () => {
  it('is followed on the same server, with its cookies', async () => {
    const { url, seen } = await site({ '/a': '/b' });
    const session = connect(url.replace('ws', 'http'));
    whenOver(() => session.destroy());
    const conn = await new Dialer({ http2: session, followRedirects: 1, jar }).dial(`${url}/a`);
    conn.terminate();
    expect(seen.map(({ cookie }) => decodeURIComponent(cookie!))).toEqual([
      `url=${url.replace('ws', 'http')}/a`,
      `url=${url.replace('ws', 'http')}/b`,
    ]);
  });

  it.each(['ws://bank.example/b', '//bank.example:8080/b', 'https://bank.example/b'])(
    'to another server is a BadHandshakeError, and sends nothing (%s)',
    async (location) => {
      const { url, seen } = await site({ '/a': location });
      const session = connect(url.replace('ws', 'http'));
      whenOver(() => session.destroy());
      const dialing = new Dialer({ http2: session, followRedirects: 5, jar }).dial(`${url}/a`);
      const error = await dialing.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(BadHandshakeError);
      expect((error as Error).message).toMatch(
        /answered 302 Found, not 200; it redirects to bank\.example:\d+, which the session of the option http2 does not reach$/,
      );
      expect(seen).toHaveLength(1);
    },
  );
});

describe('a redirect over HTTP/2', () => {
  it('offers the subprotocols of the option on the same host only', async () => {
    const other = await site({});
    const port = await site({ '/a': '/b', '/b': `${other.url}/c` });
    const host = await site({ '/a': `ws://localhost:${other.port}/c` });
    const dialer = new Dialer({ http2: 'only', followRedirects: 2, subprotocols: ['token'] });
    const lines = (): unknown[] =>
      [...port.seen.splice(0), ...host.seen.splice(0), ...other.seen.splice(0)].map(
        (head) => head['sec-websocket-protocol'],
      );
    (await dialer.dial(`${port.url}/a`)).terminate();
    expect(lines()).toEqual(['token', 'token', 'token']);
    (await dialer.dial(`${host.url}/a`)).terminate();
    expect(lines()).toEqual(['token', undefined]);
    const headers = { 'Sec-WebSocket-Protocol': 'token', 'X-A': '1' };
    const byHeader = new Dialer({ http2: 'only', followRedirects: 2 });
    (await byHeader.dial(`${port.url}/a`, { headers })).terminate();
    expect(lines()).toEqual(['token', 'token', undefined]);
  });
});
