// Origins and HttpOnly cookies: only a browser sends them.

import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import {
  type AdmitOrRefuse,
  admit,
  type Conn,
  type ServeOptions,
  serve,
  Upgrader,
} from '@ws/node-server';
import { type Browser, lacksChromium, launchHeadlessShell, type Page } from '@ws/tests/chromium';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { listening } from '../kit/listening.ts';

/** Timeout of a test on a busy machine. */
const SLOW_MS = 60_000;

/** Events of a WebSocket in a page. */
interface Seen {
  readonly events: string[];
  readonly protocol: string;
  readonly messages: string[];
  /** From the close event. */
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** `document.cookie` after the close event. */
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

/** Runs in a page: the same in a sandboxed frame, which has no origin. */
const visitFromSandbox = (url: string): string => `new Promise((resolve) => {
  addEventListener('message', ({ data }) => resolve(data));
  const frame = document.createElement('iframe');
  frame.sandbox = 'allow-scripts';
  frame.srcdoc = ${JSON.stringify(`<script>${visit(url)}.then((seen) => parent.postMessage(seen, '*'))</script>`)};
  document.body.append(frame);
})`;

/** Sends the origin and the cookies of the request, and closes. */
const greet = async (conn: Conn, req: IncomingMessage): Promise<void> => {
  await conn.send(`origin ${req.headers.origin}`);
  await conn.send(`cookie ${req.headers.cookie ?? 'none'}`);
  await conn.close(4000, 'goodbye');
};

describe.skipIf(lacksChromium())('the handshake of a browser', () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    browser = await launchHeadlessShell();
    page = await browser.newPage();
  }, SLOW_MS);
  afterAll(async () => {
    await browser?.close();
  });
  afterEach(() => page.context().clearCookies());

  /** Starts a site: a page with these cookies and a WebSocket server. */
  async function site(
    options: Omit<ServeOptions<AdmitOrRefuse>, 'routes'> = {},
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
    onTestFinished(async () => void (await server.close()));
    return { port: Number(new URL(server.url).port), requests };
  }

  /** Dials from the page. */
  const dial = (url: string, protocols: string[] = []): Promise<Seen> =>
    page.evaluate<Seen>(visit(url, protocols));

  describe('with an origin', () => {
    it.each(['127.0.0.1', 'localhost'])(
      'is accepted from a page of the same host, %s',
      async (host) => {
        const { port } = await site();
        await page.goto(`http://${host}:${port}/`);
        expect(await dial(`ws://${host}:${port}/`)).toMatchObject({
          events: ['open', 'close'],
          messages: [`origin http://${host}:${port}`, 'cookie none'],
          code: 4000,
          reason: 'goodbye',
          wasClean: true,
        });
      },
    );

    it('is rejected from a page with another name or port of the same machine', async () => {
      const [{ port }, other] = await Promise.all([site(), site()]);
      for (const host of [`localhost:${other.port}`, `127.0.0.1:${port}`]) {
        await page.goto(`http://${host}/`);
        expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
      }
      expect(other.requests).toEqual([]);
    });

    it('is accepted from a page in allowedOrigins only', async () => {
      const [{ port }, stranger] = await Promise.all([site(), site()]);
      const other = await site({ allowedOrigins: [`http://127.0.0.1:${port}`] });
      await page.goto(`http://127.0.0.1:${port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject({ code: 4000 });
      await page.goto(`http://localhost:${port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
      await page.goto(`http://127.0.0.1:${stranger.port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
    });

    it('is accepted from a page that matches a wildcard', async () => {
      const { port } = await site();
      const other = await site({ allowedOrigins: [`http://*.localhost:${port}`] });
      await page.goto(`http://app.localhost:${port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject({
        code: 4000,
        messages: [`origin http://app.localhost:${port}`, 'cookie none'],
      });
      await page.goto(`http://localhost:${port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
    });

    it('is rejected from a frame and a data: page, which have no origin', async () => {
      const { port, requests } = await site();
      const url = `ws://127.0.0.1:${port}/`;
      await page.goto(`http://127.0.0.1:${port}/`);
      expect(await page.evaluate(visitFromSandbox(url))).toMatchObject(REFUSED);
      await page.goto('data:text/html,hi');
      expect(await dial(url)).toMatchObject(REFUSED);
      expect(requests).toEqual([]);
    });

    it('reaches checkOrigin as `null`, which may accept it', async () => {
      const origins: unknown[] = [];
      const checkOrigin = (req: IncomingMessage): boolean => {
        origins.push(req.headers.origin);
        return true;
      };
      const { port } = await site({ checkOrigin });
      await page.goto(`http://127.0.0.1:${port}/`);
      const seen = await page.evaluate(visitFromSandbox(`ws://127.0.0.1:${port}/`));
      expect(seen).toMatchObject({ code: 4000, messages: ['origin null', 'cookie none'] });
      expect(origins).toEqual(['null']);
    });
  });

  describe('with cookies', () => {
    const cookies = ['sid=abc; HttpOnly; SameSite=Strict', 'theme=dark'];
    const authenticate = (req: IncomingMessage) => {
      const sid = /\bsid=(\w+)/.exec(req.headers.cookie ?? '')?.[1];
      return sid === undefined ? ({ refuse: 401 } as const) : admit(sid);
    };

    it('passes HttpOnly cookies to authenticate', async () => {
      const { port } = await site({ authenticate }, cookies);
      await page.goto(`http://127.0.0.1:${port}/`);
      expect(await dial(`ws://127.0.0.1:${port}/`)).toMatchObject({
        code: 4000,
        cookie: 'theme=dark',
        messages: [expect.any(String), 'cookie sid=abc; theme=dark'],
      });
    });

    it('is rejected without them, and the page sees an error and 1006', async () => {
      const { port, requests } = await site({ authenticate });
      await page.goto(`http://127.0.0.1:${port}/`);
      expect(await dial(`ws://127.0.0.1:${port}/`)).toMatchObject(REFUSED);
      expect(requests).toEqual([]);
    });

    it('sends them to another port of the same site', async () => {
      const { port } = await site({}, cookies);
      const other = await site({ authenticate, allowedOrigins: [`http://127.0.0.1:${port}`] });
      await page.goto(`http://127.0.0.1:${port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject({ code: 4000 });
    });

    it('omits SameSite cookies from a page of another site', async () => {
      const { port } = await site();
      const other = await site({ authenticate, allowedOrigins: [`http://localhost:${port}`] }, [
        ...cookies,
        'lax=1; SameSite=Lax',
      ]);
      await page.goto(`http://127.0.0.1:${other.port}/`);
      await page.goto(`http://localhost:${port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject(REFUSED);
      await page.goto(`http://127.0.0.1:${other.port}/`);
      expect(await dial(`ws://127.0.0.1:${other.port}/`)).toMatchObject({ code: 4000 });
    });

    it('stores the cookies of a 101', async () => {
      const upgrader = new Upgrader();
      const http = createServer((_req, res) => {
        res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>a page</title>');
      });
      http.on('upgrade', (req, socket, head) => {
        const headers = { 'Set-Cookie': ['seen=1', 'hidden=2; HttpOnly'] };
        void upgrader.upgrade(req, socket, head, { headers }).then((conn) => greet(conn, req));
      });
      const port = await listening(http);
      onTestFinished(() => {
        http.closeAllConnections();
        http.close();
      });
      await page.goto(`http://127.0.0.1:${port}/`);
      const first = await dial(`ws://127.0.0.1:${port}/`);
      expect(first).toMatchObject({ cookie: 'seen=1', code: 4000 });
      expect(first.messages[1]).toBe('cookie none');
      const second = await dial(`ws://127.0.0.1:${port}/`);
      expect(second.messages[1]).toBe('cookie seen=1; hidden=2');
    });
  });

  describe('with subprotocols and refusals', () => {
    it.each<[offered: string[], ours: string[], chosen: string]>([
      [['a', 'b'], ['b', 'a'], 'b'],
      [['b'], ['a', 'b'], 'b'],
      [[], ['a'], ''],
    ])('negotiates a subprotocol: of %j and %j, %j', async (offered, ours, chosen) => {
      const { port } = await site({ subprotocols: ours });
      await page.goto(`http://127.0.0.1:${port}/`);
      const seen = await dial(`ws://127.0.0.1:${port}/`, offered);
      expect(seen).toMatchObject({ events: ['open', 'close'], protocol: chosen });
    });

    it('fails without a common subprotocol', async () => {
      const { port } = await site({ subprotocols: ['c'] });
      await page.goto(`http://127.0.0.1:${port}/`);
      expect(await dial(`ws://127.0.0.1:${port}/`, ['a'])).toMatchObject(REFUSED);
    });

    it('fails in the same way for every status', async () => {
      let refuse = 0;
      const { port } = await site({ authenticate: () => ({ refuse }) });
      await page.goto(`http://127.0.0.1:${port}/`);
      for (refuse of [302, 400, 401, 403, 404, 429, 500, 503]) {
        expect(await dial(`ws://127.0.0.1:${port}/`)).toMatchObject(REFUSED);
      }
    });
  });
});
