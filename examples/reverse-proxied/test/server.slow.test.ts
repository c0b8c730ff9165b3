import { once } from 'node:events';
import { get as getPlain } from 'node:http';
import { get } from 'node:https';
import { text } from 'node:stream/consumers';
import { type Conn, Dialer, dial } from '@ws/node-client';
import { lacksDaemon, selfSigned } from '@ws/tests';
import {
  type Example,
  endsWithSilentClient,
  type ProxyName,
  type ReverseProxy,
  rejectsWrongPort,
  startExample,
  startReverseProxy,
} from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/reverse-proxied', () => {
  rejectsWrongPort('reverse-proxied');

  endsWithSilentClient(
    () => startExample('reverse-proxied'),
    async ({ ws }) => dial(ws),
  );
});

describe.each<{ name: ProxyName; signal: 'SIGINT' | 'SIGTERM' }>([
  { name: 'nginx', signal: 'SIGINT' },
  { name: 'haproxy', signal: 'SIGTERM' },
])('examples/reverse-proxied', ({ name, signal }) => {
  describe.skipIf(lacksDaemon(name))(`behind ${name}`, () => {
    let example: Example;
    let proxy: ReverseProxy;
    let dialer: Dialer;
    let ca: string;
    /** Open connections, which the last test ends. */
    const conns: Conn[] = [];
    beforeAll(async () => {
      ca = (await selfSigned()).cert;
      dialer = new Dialer({ tls: { ca } });
      example = await startExample('reverse-proxied');
      proxy = await startReverseProxy(name, example.port);
    });
    afterAll(async () => {
      await Promise.all([proxy?.close(), example?.stop()]);
    });

    it('serves a page and an echo to its origin over TLS', async () => {
      const [response] = await once(get(`https://${proxy.tlsHost}/`, { ca }), 'response');
      expect(await text(response)).toBe('a page\n');
      const conn = await dialer.dial(`wss://${proxy.tlsHost}/`, {
        headers: { Origin: `https://${proxy.tlsHost}` },
      });
      conns.push(conn);
      await conn.send('hello');
      expect((await conn.readMessage()).text()).toBe('hello');
    });

    it('redirects pages and WebSockets in clear text to https with 301', async () => {
      const host = { Host: 'example.org' };
      const asked = getPlain(`http://${proxy.plainHost}/shop?x=1`, { headers: host });
      const [response] = await once(asked, 'response');
      response.resume();
      const { statusCode, headers } = response;
      expect([statusCode, headers.location]).toEqual([301, 'https://example.org/shop?x=1']);
      const refused = dialer.dial(`ws://${proxy.plainHost}/`, { headers: host });
      await expect(refused).rejects.toMatchObject({
        status: 301,
        headers: { location: 'https://example.org/' },
      });
    });

    it('allows 20 connections of a client, with any forwarded addresses of its own', async () => {
      const url = `ws://${proxy.host}/`;
      while (conns.length < 20) conns.push(await dialer.dial(url));
      const more = dialer.dial(url, { headers: { 'X-Forwarded-For': '203.0.113.7' } });
      await expect(more).rejects.toMatchObject({ status: 429 });
    });

    it(`ends on ${signal}: 1001, exit code 0`, async () => {
      for (const conn of conns) void conn.discardReads();
      const end = example.stop(signal);
      const infos = await Promise.all(conns.map(({ closed }) => closed));
      expect(infos).toEqual(
        Array.from({ length: 20 }, () => expect.objectContaining({ code: 1001, wasClean: true })),
      );
      expect(await end, example.output()).toBe(0);
    });
  });
});
