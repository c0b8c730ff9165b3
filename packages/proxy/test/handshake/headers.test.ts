import { nothingLeft, type RequestChange, rawClient, switchingProtocols } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { ProxyOptions, Target } from '../../src/index.ts';
import { createProxy } from '../../src/index.ts';
import { front, rawTarget } from '../support.ts';

/** Sends one request through a proxy and returns what the target and the client got. */
async function through(
  change: RequestChange = {},
  options: ProxyOptions = {},
  more: Partial<Target & object> = {},
  extra = '',
) {
  const backend = await rawTarget((head) => switchingProtocols(head, extra));
  const between = await front([{ url: backend.url, ...more }], options);
  const client = await rawClient(between.port);
  const answer = await client.upgrade(change);
  if (answer.status !== 101) await client.untilEnd();
  return { head: backend.heads[0] ?? '', answer, reported: between.reported };
}

const throws = (): never => {
  throw new Error('broken');
};
const rejects = async (): Promise<never> => throws();

const FORGED = [
  'X-Forwarded-For: 203.0.113.7',
  'X_Forwarded_For: 203.0.113.7',
  'x-forwarded-proto: https',
  'X-Forwarded-Host: evil',
  'X-Forwarded-Port: 1',
  'X-Forwarded-Server: evil',
  'X-Real-IP: 203.0.113.7',
  'Forwarded: for=203.0.113.7',
];

describe('the headers for the target', () => {
  nothingLeft();

  it('are the end-to-end headers of the client, with its key, offers, Host and cookies', async () => {
    const { head } = await through({
      add: [
        'Cookie: a=1',
        'Origin: http://example.org',
        'Sec-WebSocket-Protocol: chat, v2',
        'Sec-WebSocket-Extensions: foo; bar=1',
        'traceparent: 00-a-b-01',
        'X-Request-Id: 7',
        'Keep-Alive: 5',
        'Proxy-Authorization: Basic x',
        'TE: trailers',
        'Transfer_Encoding: chunked',
        'Content_Length: 5',
        'X_Request_Id: 8',
      ],
    });
    expect(head).toMatch(/^GET \/chat HTTP\/1\.1\r\n/);
    for (const line of [
      'Host: server.example.com',
      'Cookie: a=1',
      'Origin: http://example.org',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol: chat, v2',
      'Sec-WebSocket-Extensions: foo; bar=1',
      'traceparent: 00-a-b-01',
      'X-Request-Id: 7',
      'X_Request_Id: 8',
    ]) {
      expect(head).toContain(`\r\n${line}\r\n`);
    }
    expect(head).not.toMatch(/keep-alive|proxy-authorization|\nte:|encoding|length/i);
  });

  it('have none that Connection names, except those of the handshake', async () => {
    const { head } = await through({
      set: ['Connection: Upgrade, X-Hop, Y_Hop, Sec-WebSocket-Key, Host, X-Forwarded-For'],
      add: ['X-Hop: 1', 'Y_Hop: 2'],
    });
    expect(head).not.toMatch(/[XY].Hop/);
    expect(head).toContain('Sec-WebSocket-Key: ');
    expect(head).toContain('Host: ');
    expect(head).toContain('X-Forwarded-For: 127.0.0.1');
  });

  it.each(['x', 'rfc7239', 'both', false] as const)(
    'cannot be forged, form %s',
    async (forwarded) => {
      const { head } = await through({ add: FORGED }, { forwarded });
      expect(head).not.toMatch(/203\.0\.113\.7|evil|https/);
      expect(head).not.toMatch(/x_forwarded|x-real-ip|x-forwarded-server/i);
      const forms = [
        /\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/,
        /\r\nForwarded: for=127\.0\.0\.1;host="server\.example\.com";proto=http\r\n/,
      ];
      expect(forms.map((form) => form.test(head))).toEqual([
        forwarded === 'x' || forwarded === 'both',
        forwarded === 'rfc7239' || forwarded === 'both',
      ]);
    },
  );

  it('keep those of a trusted peer and append its address', async () => {
    const { head } = await through({ add: FORGED }, { trust: () => true, forwarded: 'both' });
    expect(head).toContain('\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.1\r\n');
    expect(head).toContain('\r\nForwarded: for=203.0.113.7, for=127.0.0.1;');
    expect(head).toMatch(/\r\nX-Forwarded-Proto: https\r\n/i);
  });

  it('have the port of the scheme that a trusted peer names', async () => {
    const { head } = await through({ add: ['X-Forwarded-Proto: https'] }, { trust: () => true });
    expect(head).toContain('\r\nX-Forwarded-Port: 443\r\n');
  });

  it.each([
    ['throws', throws],
    ['returns a promise', (async () => true) as never],
    ['returns text', (() => 'yes') as never],
  ])('are not sent when trust %s', async (_, trust) => {
    const { head, answer, reported } = await through({}, { trust });
    expect([answer.status, head, reported.length]).toEqual([500, '', 1]);
  });

  it('name the target with host: target', async () => {
    const { head } = await through({}, { host: 'target' });
    expect(head).toMatch(/\r\nHost: 127\.0\.0\.1:\d+\r\n/);
    expect(head).toContain('X-Forwarded-Host: server.example.com');
  });

  it('have those of the target in place of the client', async () => {
    const { head } = await through({ add: ['X-Key: stolen'] }, {}, { headers: { 'X-Key': 'own' } });
    expect(head.match(/x-key: .*/gi)).toEqual(['X-Key: own']);
  });

  it('are in the end what director makes of them', async () => {
    const director = async (_req: unknown, headers: Headers): Promise<void> => {
      await Promise.resolve();
      headers.set('X-User', 'ada');
      headers.delete('cookie');
      headers.set('host', 'inner');
    };
    const { head } = await through({ add: ['Cookie: a=1'] }, { director });
    expect(head).toMatch(/\r\nx-user: ada\r\n/);
    expect(head).toMatch(/\r\nhost: inner\r\n/);
    expect(head).not.toMatch(/cookie/i);
  });

  it('lack a header of the client that differs from one of the application only by _', async () => {
    const { head } = await through(
      { add: ['X_Auth_User: root', 'x_tenant: evil', 'X_Role: admin', 'X_Other: stays'] },
      {
        director: (_req, headers) => {
          headers.set('X-Tenant', 't1');
          headers.set('X-Role', 'user');
        },
      },
      { headers: { 'X-Auth-User': 'ada' } },
    );
    const names = /x.(?:auth.user|tenant|role|other): .*/gi;
    expect(
      head
        .match(names)!
        .map((line) => line.toLowerCase())
        .toSorted(),
    ).toEqual(['x-auth-user: ada', 'x-role: user', 'x-tenant: t1', 'x_other: stays']);
  });

  it.each(['ws://127.0.0.1:1', new URL('ws://127.0.0.1:1')])(
    'report a director that returns the URL %s',
    async (url) => {
      const { answer, reported } = await through({}, { director: () => url });
      expect(answer.status).toBe(500);
      expect(reported.map(String)).toEqual([
        expect.stringContaining('director: returned a URL, but it changes headers'),
      ]);
    },
  );

  it('report a director that ignores its signal', async () => {
    const signals: AbortSignal[] = [];
    const { head, answer, reported } = await through(
      {},
      {
        handshakeTimeout: 200,
        director: (_req, _headers, { signal }) => {
          signals.push(signal);
          return new Promise(() => {});
        },
      },
    );
    expect([answer.status, head, signals.map(({ aborted }) => aborted)]).toEqual([503, '', [true]]);
    await expect
      .poll(() => reported.map(String))
      .toEqual([
        expect.stringMatching(/director has not settled within 200 ms \(option handshakeTimeout\)/),
      ]);
  });

  it.each([
    ['throws', throws],
    ['rejects', rejects],
    ['sets a key', (_: unknown, headers: Headers) => headers.set('Sec-WebSocket-Key', 'x')],
    ['sets Connection', (_: unknown, headers: Headers) => headers.set('connection', 'close')],
    ['sets Content-Length', (_: unknown, headers: Headers) => headers.set('content-length', '5')],
    ['deletes Host', (_: unknown, headers: Headers) => headers.delete('host')],
    ['adds a Host', (_: unknown, headers: Headers) => headers.append('host', 'b')],
    ['sets a malformed Host', (_: unknown, headers: Headers) => headers.set('host', 'a/b')],
  ])('are not sent when director %s', async (_, director) => {
    const { head, answer, reported } = await through({}, { director });
    expect([answer.status, head, reported.length]).toEqual([500, '', 1]);
    expect(String(reported[0])).toMatch(/broken|director: /);
  });
});

describe('the headers for the client', () => {
  nothingLeft();

  it('have every Set-Cookie of the 101, and none that is hop-by-hop', async () => {
    const { answer } = await through(
      {},
      {},
      {},
      'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: 5\r\n',
    );
    expect(answer.raw).toContain('Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n');
    expect(answer.raw).not.toMatch(/keep-alive/i);
  });

  it('are in the end what response makes of them', async () => {
    const response = (headers: Headers): void => {
      headers.append('Set-Cookie', 'c=3');
      headers.delete('server');
    };
    const { answer } = await through({}, { response }, {}, 'Set-Cookie: a=1\r\nServer: x\r\n');
    expect(answer.raw.match(/set-cookie: .*/gi)).toEqual(['set-cookie: a=1', 'set-cookie: c=3']);
    expect(answer.headers.has('server')).toBe(false);
  });

  it.each([
    ['throws', throws],
    ['sets the accept', (headers: Headers) => headers.set('Sec-WebSocket-Accept', 'x')],
    ['returns a promise', async () => {}],
  ])('are a 500 when response %s', async (_, response) => {
    const { answer, reported } = await through({}, { response });
    expect([answer.status, reported.length]).toEqual([500, 1]);
  });
});

describe('the path for the target', () => {
  nothingLeft();

  it.each([
    ['', '/chat?x=1', '/chat?x=1'],
    ['base', '/chat?x=1', '/base/chat?x=1'],
    ['base/', '/chat', '/base/chat'],
    ['base?key=k', '/chat?x=1', '/base/chat?key=k&x=1'],
    ['base', '/', '/base'],
    ['', 'http://server.example.com/chat', '/chat'],
    ['', '//evil.example/chat', '//evil.example/chat'],
  ])('is %j and %j', async (own, asked, expected) => {
    const backend = await rawTarget();
    const between = await front(backend.url + own);
    const client = await rawClient(between.port);
    expect((await client.upgrade({ line: `GET ${asked} HTTP/1.1` })).status).toBe(101);
    expect(backend.heads[0]).toContain(`GET ${expected} HTTP/1.1\r\n`);
  });

  it.each(['/../admin', '/%2e%2e/admin', '/a/..\\b', '/.', '/..%2Fadmin', '/a%5c.%2e%5Cb'])(
    'never climbs out of its own by %j',
    async (asked) => {
      const backend = await rawTarget();
      const between = await front(`${backend.url}base`);
      const client = await rawClient(between.port);
      expect((await client.upgrade({ line: `GET ${asked} HTTP/1.1` })).status).toBe(400);
      expect(backend.heads).toEqual([]);
    },
  );
});

describe('createProxy', () => {
  it.each([
    [[], {}, 'the list is empty'],
    [undefined, {}, 'expected a URL, a list or a function'],
    [{ url: 'ws://a' }, {}, 'expected a URL, a list or a function'],
    ['ftp://a', {}, 'scheme "ftp"'],
    ['ws://user@a', {}, 'user info'],
    [['ws://a', 'ws://a/'], {}, 'listed twice'],
    [[{ url: 'ws://a', weight: 0 }], {}, 'weight: expected a number above 0'],
    [[{ url: 'ws://a', wieght: 1 }], {}, 'unknown option wieght'],
    [[{ url: 'ws://a', headers: { Upgrade: 'x' } }], {}, 'header Upgrade is set by the handshake'],
    [[{ url: 'ws://a', headers: { 'X-A': 'b\r\nc' } }], {}, 'Invalid character'],
    ['ws://a', { mode: 'frame' }, 'mode: expected one of'],
    ['ws://a', { forwarded: true }, 'forwarded: expected one of'],
    ['ws://a', { trust: true }, 'trust: expected false or a function'],
    ['ws://a', { director: 1 }, 'director: expected a function'],
    ['ws://a', { attempts: 0 }, 'attempts: '],
    ['ws://a', { idleTimeout: -1 }, 'idleTimeout: '],
    ['ws://a', { maxMessageSize: 0 }, 'maxMessageSize: '],
    ['ws://a', { transform: { toClient: () => undefined } }, "only the mode 'messages'"],
    ['ws://a', { compression: true }, "only the mode 'messages'"],
    ['ws://a', { changeOrigin: true }, "use host: 'target'"],
  ])('rejects %j with %j', (target, options, message) => {
    expect(() => createProxy(target as never, options as never)).toThrow(message);
  });
});
