import { once } from 'node:events';
import { createServer } from 'node:net';
import {
  masked,
  nothingLeft,
  rawClient,
  rawServer,
  request,
  switchingProtocols,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front, lastAnswer, rawTarget, withClient } from '../support.ts';

const INTERIM = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';

describe('an answer in pieces', () => {
  nothingLeft();

  it.each(['frames', 'bytes', 'messages'] as const)(
    'is one 101 and its first frame, whatever the cut, mode %s',
    async (mode) => {
      let cut = 0;
      const { url } = await rawServer(false, async (target) => {
        const head = await target.head();
        const answer = `${INTERIM}${switchingProtocols(head, 'X-A: b\r\n')}\x81\x02hi`;
        await target.write(answer.slice(0, cut));
        await new Promise((resolve) => setImmediate(resolve));
        await target.write(answer.slice(cut));
      });
      const between = await front(url, { mode });
      const length = INTERIM.length + switchingProtocols('', 'X-A: b\r\n').length + 4;
      for (cut = 1; cut < length; cut += cut < 20 || cut > length - 20 ? 1 : 7) {
        const client = await rawClient(between.port);
        const answer = await client.upgrade();
        expect([answer.status, answer.headers.get('x-a')], `cut at ${cut}`).toEqual([101, 'b']);
        client.startFrames();
        expect(await client.sees(1), `cut at ${cut}`).toEqual(['text hi']);
        client.destroy();
        await client.closed;
      }
    },
  );
});

describe('a request of a hostile client', () => {
  nothingLeft();

  it('with Expect gets no 100, and its target no Expect', async () => {
    const { backend, client } = await withClient();
    const { raw } = await client.upgrade({ add: ['Expect: 100-continue'] });
    expect(raw).toMatch(/^HTTP\/1\.1 101 /);
    expect(backend.heads[0]).not.toMatch(/expect/i);
    client.destroy();
  });

  it.each([
    [
      'a chunked body',
      { add: ['Transfer-Encoding: chunked'], behind: '5\r\nhello\r\n0\r\n\r\n' },
      400,
    ],
    ['HEAD', { line: 'HEAD /chat HTTP/1.1' }, 405],
    ['HTTP/1.0', { line: 'GET /chat HTTP/1.0' }, 400],
    ['a bare CR in a value', { add: ['X-A: b\rX-B: c'] }, 400],
    ['a NUL in a value', { add: ['X-A: b\0c'] }, 400],
    ['a folded line', { add: ['X-A: b\r\n c'] }, 400],
    ['white space before a colon', { add: ['Transfer-Encoding : chunked'] }, 400],
  ])('with %s reaches no target', async (_, change, status) => {
    const { backend, client } = await withClient();
    const text = await lastAnswer(client, change);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(backend.heads).toEqual([]);
  });

  it('keeps bytes above ASCII in its headers', async () => {
    const { backend, client } = await withClient(undefined, {
      director: (_req, headers) => headers.set('x-b', 'c'),
    });
    await client.upgrade({ add: ['X-A: gr\xfc\xdfe \xff'] });
    expect(backend.heads[0]).toMatch(/\r\nx-a: gr\xfc\xdfe \xff\r\n/i);
    client.destroy();
  });

  it('that is pipelined after a page gets the page first, then its frames', async () => {
    const backend = await rawTarget((head) => `${switchingProtocols(head)}\x81\x02hi`);
    const between = await front(backend.url);
    between.server.on('request', (_req, res) => res.end('page'));
    const client = await rawClient(between.port);
    const page = 'GET /page HTTP/1.1\r\nHost: server.example.com\r\n\r\n';
    await client.write(page, request(), masked(1, 'yo'));
    expect(await client.head()).toMatch(/^HTTP\/1\.1 200 /);
    await client.until('101 ');
    expect(String(client.takeReceived())).toMatch(/^page\r?\n?HTTP\/1\.1 101 /);
    const target = await backend.next();
    target.startFrames();
    expect(await target.sees(1)).toEqual(['text yo']);
    client.destroy();
  });

  it('gets one whole refusal, whatever it sends after its request', async () => {
    const { backend, client } = await withClient(
      () => `HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nleave`,
    );
    void client.write(request(), masked(1, 'x'.repeat(1_000)), request());
    const text = String(await client.untilEnd());
    client.end();
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403']);
    expect(text).toMatch(/\r\n\r\nleave$/);
    expect(backend.heads).toHaveLength(1);
    (await backend.next()).end();
  });
});

describe('an answer of a hostile target', () => {
  nothingLeft();

  it.each([
    ['a bare CR in a value', 'X-A: b\rX-B: c\r\n'],
    ['a NUL in a value', 'X-A: b\0c\r\n'],
    ['a folded line', 'X-A: b\r\n c\r\n'],
    ['white space before a colon', 'X-A : b\r\n'],
    ['a name that is no token', 'X A: b\r\n'],
    ['two different lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
    ['a length with a sign', 'Content-Length: +5\r\n'],
    ['an unknown coding', 'Transfer-Encoding: gzip, chunked\r\n'],
  ])('with %s is a 502', async (_, line) => {
    const { backend, client } = await withClient(
      () => `HTTP/1.1 403 Forbidden\r\n${line}\r\nhello`,
    );
    await client.write(request());
    (await backend.next()).end();
    expect(String(await client.untilEnd())).toMatch(/^HTTP\/1\.1 502 /);
    client.end();
  });

  it.each([
    ['two of Upgrade', 'Upgrade: websocket\r\n'],
    ['two subprotocols', 'Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n'],
  ])('with %s in its 101 is a 502', async (_, lines) => {
    const { client } = await withClient((head) => switchingProtocols(head, lines));
    const { status } = await client.upgrade({ add: ['Sec-WebSocket-Protocol: a'] });
    expect(status).toBe(502);
    client.destroy();
  });

  it('that comes before the request passes', async () => {
    const early = createServer((socket) => {
      socket.on('error', () => {}).resume();
      socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy');
    }).listen(0, '127.0.0.1');
    await once(early, 'listening');
    whenOver(() => early.close());
    const { port } = early.address() as { port: number };
    const between = await front(`ws://127.0.0.1:${port}`);
    const client = await rawClient(between.port);
    const text = await lastAnswer(client);
    expect(text).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    expect(text).toMatch(/\r\nRetry-After: 7\r\n(.*\r\n)*\r\nbusy$/);
  });

  it('with both a length and chunks is a 502', async () => {
    const { client } = await withClient(
      () =>
        'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    );
    const text = await lastAnswer(client);
    // It ought to be handled as an error (RFC 9112, section 6.3).
    expect(text).toMatch(/^HTTP\/1\.1 502 /);
  });
});
