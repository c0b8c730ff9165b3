// What only a browser sends: origins that it vouches for, and cookies that no script sees.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Conn, type ServeOptions, serve, Upgrader } from '@ws/node-server';
import { lacksChromium, launchChromium } from '@ws/testkit/chromium';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

/** For a test, on a machine that does much else. */
const PATIENCE_MS = 60_000;

/** What a page saw of a WebSocket that it opened. */
interface Seen {
  readonly events: string[];
  readonly protocol: string;
  readonly messages: string[];
  /** Of the close event. */
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** What a script sees of the page's cookies then. */
  readonly cookie: string;
}

const REFUSED = {
  events: ['error', 'close'],
  protocol: '',
  code: 1006,
  reason: '',
  wasClean: false,
};

/** Runs in a page: opens a WebSocket and reports when it is closed. */
const visit = (
  url: string,
  protocols: readonly string[] = [],
): string => `new Promise((resolve) => {
  const socket = new WebSocket(${JSON.stringify(url)}, ${JSON.stringify(protocols)});
  const events = [];
  const messages = [];
  let protocol = '';
  socket.onopen = () => {
    events.push('open');
    protocol = socket.protocol;
  };
  socket.onmessage = ({ data }) => messages.push(data);
  socket.onerror = () => events.push('error');
  socket.onclose = ({ code, reason, wasClean }) => {
    events.push('close');
    let cookie = '';
    try { cookie = document.cookie; } catch {}
    resolve({ events, protocol, messages, code, reason, wasClean, cookie });
  };
})`;

/** Runs in a page: the same from a frame in it that has no origin. */
const visitFromSandbox = (url: string): string => `new Promise((resolve) => {
  addEventListener('message', ({ data }) => resolve(data));
  const frame = document.createElement('iframe');
  frame.sandbox = 'allow-scripts';
  frame.srcdoc = ${JSON.stringify(`<script>${visit(url)}.then((seen) => parent.postMessage(seen, '*'))</script>`)};
  document.body.append(frame);
})`;

/** Greets with what it knows of the visitor, and closes. */
const greet = async (conn: Conn, req: IncomingMessage): Promise<void> => {
  await conn.send(`origin ${req.headers.origin}`);
  await conn.send(`cookie ${req.headers.cookie ?? 'none'}`);
  await conn.close(4000, 'goodbye');
};

describe.skipIf(lacksChromium())('the handshake of a browser', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchChromium();
  }, PATIENCE_MS);
  afterAll(async () => {
    await browser?.close();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
  });

  /** A site of its own: a page with these cookies, and a WebSocket server beside it. */
  async function site(
    options: Omit<ServeOptions<unknown>, 'routes'> = {},
    cookies: string[] = [],
  ): Promise<{ port: number; requests: IncomingMessage[] }> {
    const requests: IncomingMessage[] = [];
    const request: RequestListener = (_req, res) => {
      res.setHeader('Set-Cookie', cookies);
      res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>a page</title>');
    };
    const server = await serve({ host: '127.0.0.1', port: 0, request, ...options }, (conn, req) => {
      requests.push(req);
      return greet(conn, req);
    });
    onTestFinished(() => server.close());
    return { port: Number(new URL(server.url).port), requests };
  }

  async function open(url: string, page?: Page): Promise<Page> {
    const opened = page ?? (await (await browser.newContext()).newPage());
    await opened.goto(url);
    return opened;
  }

  const dial = (page: Page, url: string, protocols: string[] = []): Promise<Seen> =>
    page.evaluate<Seen>(visit(url, protocols));

  describe('as to its origin', () => {
    it.each(['127.0.0.1', 'localhost'])(
      'is taken from a page of the same host, %s',
      async (host) => {
        const { port } = await site();
        const page = await open(`http://${host}:${port}/`);
        expect(await dial(page, `ws://${host}:${port}/`)).toMatchObject({
          events: ['open', 'close'],
          messages: [`origin http://${host}:${port}`, 'cookie none'],
          code: 4000,
          reason: 'goodbye',
          wasClean: true,
        });
      },
    );

    it('is refused from a page of another name for the same machine', async () => {
      const { port, requests } = await site();
      const page = await open(`http://localhost:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${port}/`)).toMatchObject(REFUSED);
      expect(requests).toEqual([]);
    });

    it('is refused from a page on another port', async () => {
      const [{ port }, other] = await Promise.all([site(), site()]);
      const page = await open(`http://127.0.0.1:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
      expect(other.requests).toEqual([]);
    });

    it('is taken from a page that allowedOrigins names, and no other', async () => {
      const [{ port }, stranger] = await Promise.all([site(), site()]);
      const other = await site({ allowedOrigins: [`http://127.0.0.1:${port}`] });
      const page = await open(`http://127.0.0.1:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject({ code: 4000 });
      await open(`http://localhost:${port}/`, page);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
      await open(`http://127.0.0.1:${stranger.port}/`, page);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
    });

    it('is taken from a page whose name matches a wildcard', async () => {
      const { port } = await site();
      const other = await site({ allowedOrigins: [`http://*.localhost:${port}`] });
      const page = await open(`http://app.localhost:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject({
        code: 4000,
        messages: [`origin http://app.localhost:${port}`, 'cookie none'],
      });
      await open(`http://localhost:${port}/`, page);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
    });

    it('is refused from a frame without an origin, also in a page of the same host', async () => {
      const { port, requests } = await site();
      const page = await open(`http://127.0.0.1:${port}/`);
      const url = `ws://127.0.0.1:${port}/`;
      expect(await page.evaluate(visitFromSandbox(url))).toMatchObject(REFUSED);
      expect(requests).toEqual([]);
    });

    it('is refused from a data: page, which has none', async () => {
      const { port, requests } = await site();
      const page = await open('data:text/html,hi');
      expect(await dial(page, `ws://127.0.0.1:${port}/`)).toMatchObject(REFUSED);
      expect(requests).toEqual([]);
    });

    it('is `null` to a checkOrigin, which may take it', async () => {
      const origins: unknown[] = [];
      const checkOrigin = (req: IncomingMessage): boolean => {
        origins.push(req.headers.origin);
        return true;
      };
      const { port } = await site({ checkOrigin });
      const page = await open(`http://127.0.0.1:${port}/`);
      const seen = await page.evaluate(visitFromSandbox(`ws://127.0.0.1:${port}/`));
      expect(seen).toMatchObject({ code: 4000, messages: ['origin null', 'cookie none'] });
      expect(origins).toEqual(['null']);
    });
  });

  describe('as to its cookies', () => {
    const cookies = ['sid=abc; HttpOnly; SameSite=Strict', 'theme=dark'];
    const authenticate = (req: IncomingMessage): { refuse: 401 } | string => {
      const sid = /\bsid=(\w+)/.exec(req.headers.cookie ?? '')?.[1];
      return sid ?? { refuse: 401 };
    };

    it('shows authenticate those that no script sees', async () => {
      const { port } = await site({ authenticate }, cookies);
      const page = await open(`http://127.0.0.1:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${port}/`)).toMatchObject({
        code: 4000,
        cookie: 'theme=dark',
        messages: [expect.any(String), 'cookie sid=abc; theme=dark'],
      });
    });

    it('is refused without them: an error and 1006 is all that the page is told', async () => {
      const { port, requests } = await site({ authenticate });
      const page = await open(`http://127.0.0.1:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${port}/`)).toMatchObject(REFUSED);
      expect(requests).toEqual([]);
    });

    it('sends them to another port of the same host, which is the same site', async () => {
      const { port } = await site({}, cookies);
      const other = await site({ authenticate, allowedOrigins: [`http://127.0.0.1:${port}`] });
      const page = await open(`http://127.0.0.1:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject({ code: 4000 });
    });

    it('keeps those of SameSite from a page of another site', async () => {
      const { port } = await site();
      const other = await site({ authenticate, allowedOrigins: [`http://localhost:${port}`] }, [
        ...cookies,
        'lax=1; SameSite=Lax',
      ]);
      const page = await open(`http://127.0.0.1:${other.port}/`);
      await open(`http://localhost:${port}/`, page);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
      await open(`http://127.0.0.1:${other.port}/`, page);
      expect(await dial(page, `ws://127.0.0.1:${other.port}/`)).toMatchObject({ code: 4000 });
    });

    it('keeps those of a 101', async () => {
      const upgrader = new Upgrader();
      const http = createServer((_req, res) => {
        res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>a page</title>');
      });
      http.on('upgrade', (req, socket, head) => {
        const headers = { 'Set-Cookie': ['seen=1', 'hidden=2; HttpOnly'] };
        void upgrader.upgrade(req, socket, head, headers).then((conn) => greet(conn, req));
      });
      await once(http.listen(0, '127.0.0.1'), 'listening');
      onTestFinished(() => {
        http.closeAllConnections();
        http.close();
      });
      const { port } = http.address() as AddressInfo;
      const page = await open(`http://127.0.0.1:${port}/`);
      const first = await dial(page, `ws://127.0.0.1:${port}/`);
      expect(first).toMatchObject({ cookie: 'seen=1', code: 4000 });
      expect(first.messages[1]).toBe('cookie none');
      const second = await dial(page, `ws://127.0.0.1:${port}/`);
      expect(second.messages[1]).toBe('cookie seen=1; hidden=2');
    });
  });

  describe('as to the rest', () => {
    it.each<[offered: string[], ours: string[], chosen: string]>([
      [['a', 'b'], ['b', 'a'], 'b'],
      [['b'], ['a', 'b'], 'b'],
      [[], ['a'], ''],
    ])('agrees on a subprotocol, of %j and %j on %j', async (offered, ours, chosen) => {
      const { port } = await site({ subprotocols: ours });
      const page = await open(`http://127.0.0.1:${port}/`);
      const seen = await dial(page, `ws://127.0.0.1:${port}/`, offered);
      expect(seen).toMatchObject({ events: ['open', 'close'], protocol: chosen });
    });

    it('fails when it offers subprotocols and none is taken', async () => {
      const { port } = await site({ subprotocols: ['c'] });
      const page = await open(`http://127.0.0.1:${port}/`);
      expect(await dial(page, `ws://127.0.0.1:${port}/`, ['a'])).toMatchObject(REFUSED);
    });

    it('is refused by a status of any kind in the same way', async () => {
      let refuse = 0;
      const { port } = await site({ authenticate: () => ({ refuse }) });
      const page = await open(`http://127.0.0.1:${port}/`);
      for (refuse of [302, 400, 401, 403, 404, 429, 500, 503]) {
        expect(await dial(page, `ws://127.0.0.1:${port}/`)).toMatchObject(REFUSED);
      }
    });
  });
});
