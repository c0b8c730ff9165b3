import { masked, nothingLeft, rawClient, rawServer, request, switchingProtocols } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { ProxyError } from '../../src/index.ts';
import { front, withClient } from '../support.ts';

/** @param ends - Whether the target ends the connection behind its answer. */
async function ask(answer: (head: string) => string | undefined, options = {}, ends = false) {
  const { backend, between, client } = await withClient(answer, options);
  await client.write(request());
  const proxied = between.next();
  if (ends) (await backend.next()).end();
  const text = String(await client.untilEnd());
  client.end();
  return { text, backend, between, info: await (await proxied).closed };
}

describe.each(['frames', 'bytes', 'messages'] as const)(
  'an answer of the target, mode %s',
  (mode) => {
    nothingLeft();

    it.each([
      [
        'a wrong accept',
        (head: string) => switchingProtocols(`${head}x`).replace(/Accept: ./, 'Accept: _'),
      ],
      ['no accept', () => 'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
      ['two accepts', (head: string) => switchingProtocols(head, 'Sec-WebSocket-Accept: x\r\n')],
      ['another protocol', (head: string) => switchingProtocols(head).replace('websocket', 'h2c')],
      [
        'no Connection',
        (head: string) => switchingProtocols(head).replace('Connection: Upgrade\r\n', ''),
      ],
      ['HTTP/1.0', (head: string) => switchingProtocols(head).replace('HTTP/1.1', 'HTTP/1.0')],
      [
        'a subprotocol that was not offered',
        (head: string) => switchingProtocols(head, 'Sec-WebSocket-Protocol: evil\r\n'),
      ],
      [
        'an extension that was not offered',
        (head: string) => switchingProtocols(head, 'Sec-WebSocket-Extensions: x\r\n'),
      ],
      [
        'more than 10 interim answers before it',
        (head: string) => 'HTTP/1.1 103 x\r\n\r\n'.repeat(11) + switchingProtocols(head),
      ],
      [
        'a head of more than 64 KiB',
        (head: string) => switchingProtocols(head, `X-A: ${'a'.repeat(66_000)}\r\n`),
      ],
      ['bytes that are not HTTP', () => 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ])('with %s is a 502, without a tunnel', async (_, answer) => {
      const { text, between, backend, info } = await ask(answer, { mode });
      expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
      expect(text).toContain('Connection: close');
      expect(text).not.toContain('hi');
      expect(info.status).toBe(502);
      expect((between.reported[0] as ProxyError).code).toMatch(/^WS_ERR_PROXY_/);
      const target = await backend.next();
      await target.untilEnd();
      target.end();
    });

    it('with 426 passes to the client and leaves no tunnel', async () => {
      const { text, info, backend } = await ask(
        () =>
          'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 3\r\nX-A: b\r\n\r\nno\nHTTP/1.1 200',
        { mode },
      );
      expect(text).toMatch(
        /^HTTP\/1\.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n/,
      );
      expect(text).toMatch(/X-A: b\r\n\r\nno\n$/);
      expect(info).toMatchObject({ status: 426, endedBy: 'target' });
      await (await backend.next()).untilEnd();
    });
  },
);

describe('a refusal of the target', () => {
  nothingLeft();

  it('passes status, headers, every Set-Cookie and body, without hop-by-hop headers', async () => {
    const { text } = await ask(
      () =>
        'HTTP/1.1 401 Unauthorized\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nKeep-Alive: timeout=5\r\n' +
        'Connection: keep-alive, X-Secret\r\nX-Secret: s\r\nWWW-Authenticate: Basic\r\nContent-Length: 6\r\n\r\nlog in',
    );
    expect(text).toContain('Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\n');
    expect(text).toContain('WWW-Authenticate: Basic');
    expect(text).not.toMatch(/keep-alive|x-secret/i);
    expect(text).toMatch(/\r\n\r\nlog in$/);
  });

  it.each([
    ['200 OK', 'Content-Length: 2\r\n', 'hi'],
    ['204 No Content', '', ''],
  ])('passes %s of a target that ignores the upgrade', async (status, length, body) => {
    const { text, info, between } = await ask(
      () => `HTTP/1.1 ${status}\r\n${length}X-A: b\r\n\r\n${body}`,
    );
    expect(text).toBe(`HTTP/1.1 ${status}\r\nConnection: close\r\n${length}X-A: b\r\n\r\n${body}`);
    expect(info).toMatchObject({ status: Number(status.slice(0, 3)), endedBy: 'target' });
    expect(between.reported).toMatchObject([{ code: 'WS_ERR_PROXY_REFUSED' }]);
  });

  it('passes a chunked body with chunks of its own', async () => {
    const { text } = await ask(
      () =>
        'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n',
    );
    expect(text).toMatch(
      /\r\nTransfer-Encoding: chunked\r\n\r\n13\r\nabc0123456789abcdef\r\n0\r\n\r\n$/,
    );
  });

  it('passes the end of a body without a length', async () => {
    const { text } = await ask(() => 'HTTP/1.1 403 Forbidden\r\n\r\nuntil the end', {}, true);
    expect(text).toMatch(/\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nuntil the end\r\n0\r\n\r\n$/);
  });

  const size = 3 * 1024 * 1024;

  it.each([
    ['Content-Length', `Content-Length: ${size}\r\n\r\n`, ''],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n300000\r\n', '\r\n0\r\n\r\n'],
    ['neither', '\r\n', ''],
  ])('passes at most 1 MiB of a body with %s, and the cut shows', async (_, before, after) => {
    const { text } = await ask(() => `HTTP/1.1 500 Oops\r\n${before}${'x'.repeat(size)}${after}`);
    const body = text.slice(text.indexOf('\r\n\r\n') + 4);
    expect(body.replaceAll(/[^x]/g, '').length).toBe(1024 * 1024);
    if (text.includes('chunked')) expect(text).toMatch(/x\r\n$/);
    else expect(text).toContain(`Content-Length: ${size}\r\n`);
  });

  it('passes the end of a body of exactly 1 MiB', async () => {
    const chunk = `100000\r\n${'x'.repeat(1024 * 1024)}\r\n`;
    const { text } = await ask(
      () => `HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`,
    );
    expect(text).toMatch(/x\r\n0\r\n\r\n$/);
  });

  it('shows that a target has died within a chunk', async () => {
    const { text } = await ask(
      () => 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc',
      {},
      true,
    );
    expect(text).toMatch(/\r\n\r\n3\r\nabc\r\n$/);
  });

  it('ends at a malformed chunk, without a wait for the rest', async () => {
    const { text } = await ask(
      () => 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd',
      { handshakeTimeout: false },
    );
    expect(text).toMatch(/\r\n\r\n3\r\nabc\r\n$/);
  });

  it('comes after interim answers', async () => {
    const { text } = await ask(
      () =>
        `${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(3)}HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
  });
});

describe('a request that the rules refuse', () => {
  nothingLeft();

  it.each([
    ['version 12', { set: ['Sec-WebSocket-Version: 12'] }, 426],
    ['two keys', { add: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='] }, 400],
    ['a body', { add: ['Content-Length: 5'], behind: 'hello' }, 400],
    ['another method', { line: 'POST / HTTP/1.1' }, 405],
    ['two hosts', { add: ['Host: evil'] }, 400],
  ])('with %s reaches no target', async (_, change, status) => {
    const { backend, client } = await withClient();
    expect((await client.upgrade(change)).status).toBe(status);
    expect(backend.heads).toEqual([]);
    client.destroy();
  });
});

describe('early bytes', () => {
  nothingLeft();

  it.each([
    ['frames', ['text hi', 'close 1014']],
    ['bytes', ['text hi']],
  ] as const)(
    'pass when they come in one segment with interim answers, the 101 and a FIN, mode %s',
    async (mode, seen) => {
      const { url } = await rawServer(false, async (target) => {
        const interim = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n';
        const answer = switchingProtocols(await target.head());
        target.stream.end(`${interim}${answer}\x81\x02hi`, 'latin1');
      });
      const between = await front(url, { mode });
      const client = await rawClient(between.port);
      expect((await client.upgrade()).status).toBe(101);
      client.startFrames();
      expect(await client.sees(seen.length)).toEqual(seen);
      await client.finish();
      const info = await (await between.next()).closed;
      expect(info).toMatchObject({ status: 101, endedBy: 'target' });
      expect(client.frames).toHaveLength(seen.length);
    },
  );

  it.each(['frames', 'bytes'] as const)(
    'are the first frames on both sides, mode %s',
    async (mode) => {
      const { backend, client } = await withClient(
        (head) => `${switchingProtocols(head)}\x81\x02hi`,
        { mode },
      );
      await client.upgrade({ behind: masked(1, 'yo') });
      client.startFrames();
      expect(await client.sees(1)).toEqual(['text hi']);
      const target = await backend.next();
      target.startFrames();
      expect(await target.sees(1)).toEqual(['text yo']);
    },
  );
});
