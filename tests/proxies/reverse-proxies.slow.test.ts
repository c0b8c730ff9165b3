import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { BadHandshakeError, CloseError } from '@ws/node-client';
import { lacksDaemon, rawClient, request } from '@ws/tests';
import type { ProxyName } from '@ws/tests/examples';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { behind, echo, firstConn, stop } from './setup.ts';

const names: readonly ProxyName[] = ['nginx', 'haproxy'];

for (const name of names) {
  describe.skipIf(lacksDaemon(name))(`serve behind ${name}`, () => {
    afterEach(stop);

    describe.each(['ws', 'wss'] as const)('by %s', (scheme) => {
      it('returns texts, bytes and large messages to our client', async () => {
        const { dialer, urls } = await behind(name, { readLimit: 8 * 1024 * 1024 });
        const conn = await dialer.dial(urls[scheme]);
        const { response } = conn;
        expect(response.headers.upgrade).toBe('websocket');
        await conn.send('');
        expect((await conn.readMessage()).text()).toBe('');
        await conn.send('grüße 🌍');
        expect((await conn.readMessage()).text()).toBe('grüße 🌍');
        for (const length of [1, 125, 126, 65_535, 65_536, 5_000_000]) {
          const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) % 251);
          const sent = conn.send(bytes);
          const { data } = await conn.readMessage();
          await sent;
          expect(Buffer.compare(data, bytes), `${length} bytes`).toBe(0);
        }
        expect(await conn.ping()).toBeGreaterThan(0);
        expect(await conn.close(1000)).toMatchObject({ code: 1000, wasClean: true });
      });

      it('returns texts, bytes and large messages to ws', async () => {
        const { handler, conn } = firstConn();
        const { urls, ca } = await behind(name, { readLimit: 8 * 1024 * 1024 }, (own) => {
          handler(own);
          return echo(own);
        });
        const socket = new WebSocket(urls[scheme], { ca, perMessageDeflate: false });
        await once(socket, 'open');
        const bytes = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 249));
        for (const data of ['hello', Buffer.from([0, 255]), bytes]) {
          socket.send(data);
          const [answer, isBinary] = await once(socket, 'message');
          expect(isBinary).toBe(typeof data !== 'string');
          expect(Buffer.compare(answer, Buffer.from(data))).toBe(0);
        }
        socket.close(4001, 'done');
        expect((await once(socket, 'close'))[0]).toBe(4001);
        expect(await (await conn).closed).toMatchObject({ code: 4001, reason: 'done' });
      });

      it('accepts only the origin of the requested host', async () => {
        const { dialer, urls, proxy } = await behind(name);
        const page = { ws: `http://${proxy.host}`, wss: `https://${proxy.tlsHost}` }[scheme];
        const conn = await dialer.dial(urls[scheme], { headers: { Origin: page } });
        await conn.close();
        for (const Origin of ['https://example.org', 'null', `${page}0`]) {
          const refused = dialer.dial(urls[scheme], { headers: { Origin } });
          await expect(refused, Origin).rejects.toMatchObject({ status: 403 });
        }
      });

      it('accepts an origin with the default port', async () => {
        const { dialer, urls } = await behind(name);
        const headers = {
          Host: 'example.org',
          Origin: { ws: 'http://example.org', wss: 'https://example.org' }[scheme],
        };
        const conn = await dialer.dial(urls[scheme], { headers });
        await conn.close();
      });
    });

    it('negotiates a subprotocol', async () => {
      const { dialer, urls } = await behind(name, { subprotocols: ['chat.v2', 'chat'] });
      const conn = await dialer.dial(urls.ws, { subprotocols: ['chat', 'chat.v2'] });
      expect(conn.subprotocol).toBe('chat.v2');
      await conn.close();
    });

    it('passes cookies to authenticate and its refusal back, with status, headers and body', async () => {
      const { dialer, urls } = await behind(name, {
        authenticate: (req) =>
          req.headers.cookie === 'session=ada' || {
            refuse: 401,
            headers: { 'WWW-Authenticate': 'Cookie' },
            body: 'log in first\n',
          },
      });
      const conn = await dialer.dial(urls.wss, { headers: { Cookie: 'session=ada' } });
      await conn.close();
      const error = await dialer.dial(urls.wss).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(BadHandshakeError);
      const { status, headers, body } = error as BadHandshakeError;
      expect([status, headers['www-authenticate'], body.toString()]).toEqual([
        401,
        'Cookie',
        'log in first\n',
      ]);
    });

    it('finds routes and decodes their parameters', async () => {
      const { dialer, urls } = await behind(
        name,
        {},
        {
          '/echo': echo,
          '/feed/:id': (conn, _req, { params }) => conn.send(`feed ${params['id']}`),
        },
      );
      const plain = await dialer.dial(`${urls.ws}/echo?x=1`);
      await plain.send('hi');
      expect((await plain.readMessage()).text()).toBe('hi');
      const feed = await dialer.dial(`${urls.ws}/feed/n%20%2Fw%C3%A9`);
      expect((await feed.readMessage()).text()).toBe('feed n /wé');
      await Promise.all([plain.close(), feed.close()]);
    });

    it('counts connections by the address from the proxy, not by the claim of the client', async () => {
      const claimed: unknown[] = [];
      const { dialer, urls } = await behind(name, {
        limits: [{ by: 'address', connections: 1 }],
        clientAddress: (req) => {
          claimed.push(req.headers['x-forwarded-for']);
          return req.headers['x-forwarded-for']?.toString().split(',').at(-1)?.trim();
        },
      });
      const conn = await dialer.dial(urls.ws);
      for (const address of ['203.0.113.7', '203.0.113.8, 203.0.113.9']) {
        const again = dialer.dial(urls.ws, { headers: { 'X-Forwarded-For': address } });
        await expect(again).rejects.toMatchObject({ status: 429 });
      }
      expect(claimed).toEqual(['127.0.0.1', '127.0.0.1', '127.0.0.1']);
      await conn.close();
    });

    it('passes close codes and reasons in both directions', async () => {
      const { handler, conn } = firstConn();
      const { dialer, urls } = await behind(name, {}, handler);
      const client = await dialer.dial(urls.ws);
      const server = await conn;
      void server.discardReads();
      await client.close(4321, 'grüße');
      expect(await server.closed).toMatchObject({ code: 4321, reason: 'grüße', wasClean: true });

      const second = await behind(name, {}, (other) => other.close(4444, 'no more'));
      const dismissed = await second.dialer.dial(second.urls.wss);
      await expect(dismissed.readMessage()).rejects.toMatchObject({
        closeCode: 4444,
        reason: 'no more',
      });
      expect(await dismissed.closed).toMatchObject({ wasClean: true });
    });

    it('sends 1001 to every client on server.close', async () => {
      const { dialer, urls, server } = await behind(name);
      const conns = await Promise.all([urls.ws, urls.wss].map(async (url) => dialer.dial(url)));
      const closing = server.close();
      for (const conn of conns) {
        const error = await conn.readMessage().catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(CloseError);
        expect(error).toMatchObject({ closeCode: 1001 });
        expect(await conn.closed).toMatchObject({ wasClean: true });
      }
      await closing;
    });

    it('stays connected if its heartbeat is faster than the timeout of the proxy', async () => {
      const heartbeat = { interval: 1_000, timeout: 20_000 };
      const { dialer, urls } = await behind(name, { heartbeat }, echo, '4s');
      const conn = await dialer.dial(urls.ws);
      // Nine intervals last longer than two timeouts of the proxy.
      let pings = 0;
      const enough = new Promise<void>((resolve) => {
        conn.setPingHandler(async (data) => {
          await conn.writeControl(10, data);
          if (++pings === 9) resolve();
        });
      });
      const next = conn.readMessage();
      await Promise.race([enough, next]);
      await conn.send('still there?');
      expect((await next).text()).toBe('still there?');
      await conn.close();
    });

    it('ends with 1006 on both sides after the silence timeout of the proxy', async () => {
      const { handler, conn } = firstConn();
      const { dialer, urls } = await behind(name, { heartbeat: false }, handler, '2s');
      const client = await dialer.dial(urls.ws);
      const server = await conn;
      for (const end of [client, server]) void end.discardReads();
      for (const end of [client, server]) {
        expect(await end.closed).toMatchObject({ code: 1006, wasClean: false });
      }
    });

    it('delivers the first message of each side', async () => {
      const { dialer, urls, ca } = await behind(name, {}, async (conn) => {
        void conn.send('welcome');
        await echo(conn);
      });
      for (const url of [urls.ws, urls.wss]) {
        const conn = await dialer.dial(url);
        const sent = conn.send('at once');
        expect((await conn.readMessage()).text()).toBe('welcome');
        expect((await conn.readMessage()).text()).toBe('at once');
        await sent;
        await conn.close();

        const socket = new WebSocket(url, { ca });
        const [first] = await once(socket, 'message');
        expect(String(first)).toBe('welcome');
        socket.terminate();
      }
    });

    it('delivers frames that arrive with the request', async () => {
      const { proxy } = await behind(name);
      const raw = await rawClient(Number(proxy.host.split(':')[1]));
      await raw.write(
        request({ line: 'GET / HTTP/1.1', set: [`Host: ${proxy.host}`] }),
        '\x81\x82\0\0\0\0hi',
      );
      await raw.until('\x81\x02hi');
      raw.destroy();
      await raw.closed;
    });

    it('answers plain requests before and after upgrades through the same proxy', async () => {
      const { dialer, urls, proxy, ca } = await behind(name, {
        request: (req, res) => res.end(`a page at ${req.url} of ${req.headers.host}`),
      });
      const page = `a page at /shop?x=1 of ${proxy.tlsHost}`;
      const ask = async (): Promise<string> => {
        const asked = httpsRequest(`https://${proxy.tlsHost}/shop?x=1`, { ca, agent: false }).end();
        const [response] = await once(asked, 'response');
        expect(response.statusCode).toBe(200);
        return text(response);
      };
      expect(await ask()).toBe(page);
      const conn = await dialer.dial(urls.wss);
      expect(await ask()).toBe(page);
      await conn.close();
      expect(await ask()).toBe(page);
    });

    it('reports 1006 for a client that resets', async () => {
      const { handler, conn } = firstConn();
      const { proxy } = await behind(name, {}, handler);
      const raw = await rawClient(Number(proxy.host.split(':')[1]));
      await raw.write(
        request({
          line: 'GET / HTTP/1.1',
          set: [`Host: ${proxy.host}`, 'Connection: keep-alive, Upgrade'],
        }),
      );
      await raw.until('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
      const server = await conn;
      void server.discardReads();
      raw.reset();
      expect(await server.closed).toMatchObject({ code: 1006, wasClean: false });
    });

    it('rejects an unsupported version with 426 through the proxy', async () => {
      const { proxy } = await behind(name);
      const raw = await rawClient(Number(proxy.host.split(':')[1]));
      await raw.write(
        request({
          line: 'GET / HTTP/1.1',
          set: [`Host: ${proxy.host}`, 'Sec-WebSocket-Version: 12'],
        }),
      );
      const answer = String(await raw.until('\r\n\r\n'));
      expect(answer).toMatch(/^HTTP\/1\.1 426 /);
      expect(answer).toMatch(/^sec-websocket-version: 13\r$/im);
      raw.destroy();
      await raw.closed;
    });
  });
}
