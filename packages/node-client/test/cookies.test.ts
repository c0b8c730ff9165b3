import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { BadHandshakeError, type CookieJar, type DialAddress, Dialer } from '../src/index.ts';
import { inVain } from './leftovers.ts';
import { closing, rawServer, type SeenRequest, seen } from './servers.ts';

/** A jar that records its calls. */
class NotingJar implements CookieJar {
  readonly asked: string[] = [];
  readonly kept: [cookie: string, url: string][] = [];
  cookies = 'a=1; b=2';

  async getCookieString(url: string): Promise<string> {
    await Promise.resolve();
    this.asked.push(url);
    return this.cookies;
  }

  async setCookie(cookie: string, url: string, options: { ignoreError: boolean }): Promise<void> {
    await Promise.resolve();
    expect(options.ignoreError).toBe(true);
    this.kept.push([cookie, url]);
  }
}

const COOKIES = 'Set-Cookie: x=1; Path=/\r\nSet-Cookie: y=2, still y\r\n';

async function server(answer: (request: SeenRequest) => string) {
  const requests: string[] = [];
  const raw = await rawServer((socket, request) => {
    requests.push(request.text);
    socket.write(answer(request), 'latin1');
  });
  return { ...raw, requests };
}

describe('Dialer with a jar', () => {
  it('sends its cookies for the http URL', async () => {
    const { url, port, requests } = await server((request) => request.ok());
    const jar = new NotingJar();
    const conn = await new Dialer({ jar }).dial(`${url}/feed?x#top`);
    conn.terminate();
    expect(jar.asked).toEqual([`http://127.0.0.1:${port}/feed?x`]);
    expect(requests[0]).toMatch(/\r\nCookie: a=1; b=2\r\n\r\n$/);
  });

  it('sends no Cookie header when there is no cookie', async () => {
    const { url, requests } = await server((request) => request.ok());
    const jar = new NotingJar();
    jar.cookies = '';
    const conn = await new Dialer({ jar }).dial(url);
    conn.terminate();
    expect(requests[0]).not.toMatch(/cookie/i);
  });

  it.each([null, undefined, 5, 'a=1\r\nX-B: c', 'a=\0', {}])(
    'fails before it connects when the jar gives %j',
    async (cookies) => {
      const jar = { getCookieString: () => cookies as string, setCookie: () => {} };
      let dialed = 0;
      const netDial = (): never => {
        dialed++;
        throw new Error('never');
      };
      await expect(new Dialer({ jar, netDial }).dial('ws://h/')).rejects.toBeInstanceOf(TypeError);
      expect(dialed).toBe(0);
    },
  );

  it('is not called when the caller gives a Cookie header', async () => {
    const { url, requests } = await server((request) => request.ok());
    const jar = new NotingJar();
    const conn = await new Dialer({ jar }).dial(url, { headers: { cookie: 'mine=1' } });
    conn.terminate();
    expect(jar.asked).toEqual([]);
    expect(requests[0]).toMatch(/\r\ncookie: mine=1\r\n\r\n$/);
  });

  it('gets the cookies of the response one by one', async () => {
    const { url, port } = await server((request) => `${request.ok(COOKIES)}\x81\x02hi`);
    const jar = new NotingJar();
    const conn = await new Dialer({ jar }).dial(url);
    const from = `http://127.0.0.1:${port}/`;
    expect(jar.kept).toEqual([
      ['x=1; Path=/', from],
      ['y=2, still y', from],
    ]);
    // The bytes that came with the 101 were kept.
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    conn.terminate();
  });

  it.each([
    ['stays open', false],
    ['destroys itself', true],
  ])(
    'keeps what a server sends right after the 101, and its end (the stream %s)',
    async (_, destroys) => {
      const stream = new Duplex({
        allowHalfOpen: false,
        read() {},
        write(chunk: Buffer, _encoding, written) {
          const request = seen(String(chunk));
          if (request.key !== '') {
            stream.push(`${request.ok(COOKIES)}\x81\x02hi\x88\x02\x03\xe8`, 'latin1');
          }
          written();
        },
      });
      if (destroys) stream.on('end', () => stream.destroy());
      const ended = once(stream, destroys ? 'close' : 'end');
      const jar: CookieJar = {
        getCookieString: () => '',
        async setCookie() {
          // As node:net reads a FIN: a paused socket ends too.
          stream.push(null);
          stream.read(0);
          await ended;
        },
      };
      const conn = await new Dialer({ jar, netDial: () => stream }).dial('ws://h/');
      expect((await conn.readMessage()).text()).toBe('hi');
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
      await conn.closed;
    },
  );

  it.each<[string, (request: SeenRequest) => string]>([
    ['is refused', () => `HTTP/1.1 401 No\r\nContent-Length: 0\r\n${COOKIES}\r\n`],
    ['is malformed', (request) => request.ok(`${COOKIES}Sec-WebSocket-Protocol: x\r\n`)],
  ])('gets them also when the handshake %s', async (_, answer) => {
    const { url } = await server(answer);
    const jar = new NotingJar();
    expect(await inVain(url, { jar })).toBeInstanceOf(BadHandshakeError);
    expect(jar.kept.map(([cookie]) => cookie)).toEqual(['x=1; Path=/', 'y=2, still y']);
  });

  it('fails with the jar’s own error when it cannot read the cookies', async () => {
    const { url, sockets } = await server((request) => request.ok());
    const broken = new Error('the jar is broken');
    const jar = { getCookieString: () => Promise.reject(broken), setCookie: () => undefined };
    expect(await inVain(url, { jar })).toBe(broken);
    const thrower = {
      getCookieString: () => {
        throw broken;
      },
      setCookie: () => undefined,
    };
    expect(await inVain(url, { jar: thrower })).toBe(broken);
    expect(sockets).toHaveLength(0);
  });

  it('fails with the jar’s own error when it cannot keep one', async () => {
    const { url, gone } = await server((request) => request.ok(COOKIES));
    const full = new Error('the jar is full');
    const jar = { getCookieString: () => '', setCookie: () => Promise.reject(full) };
    expect(await inVain(url, { jar })).toBe(full);
    await gone();
  });

  it('notices a connection that breaks while the jar works', async () => {
    const { url, sockets } = await server((request) => request.ok(COOKIES));
    let close!: Promise<void>;
    const netDial = (address: DialAddress) => {
      const stream = connect(address);
      close = closing(stream);
      return stream;
    };
    const jar = {
      getCookieString: () => '',
      setCookie: () => {
        sockets[0]!.resetAndDestroy();
        return close;
      },
    };
    await expect(new Dialer({ jar, netDial }).dial(url)).rejects.toMatchObject({
      message: /^websocket: the connection broke during the handshake: read ECONNRESET; /,
      code: 'WS_ERR_TRANSPORT',
      cause: { code: 'ECONNRESET' },
    });
  });
});
