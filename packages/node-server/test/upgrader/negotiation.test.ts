import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  admit,
  type Conn,
  type HandshakeError,
  Upgrader,
  type UpgraderOptions,
} from '../../src/index.ts';
import { exchange, request } from '../raw.ts';
import { connected, endAfterEach, listening, withHeaders } from '../upgrade-server.ts';

endAfterEach();

describe('subprotocols', () => {
  const cases: {
    says: string;
    option: UpgraderOptions['subprotocols'];
    offers: readonly string[];
    headers?: Record<string, string>;
    chosen: string;
  }[] = [
    {
      says: 'the first of the server that is offered',
      option: ['b', 'a'],
      offers: ['a, b'],
      chosen: 'b',
    },
    { says: 'from all lines', option: ['c'], offers: ['a', 'b, c'], chosen: 'c' },
    { says: 'by exact case', option: ['Chat'], offers: ['chat'], chosen: '' },
    { says: 'nothing without an offer', option: ['a'], offers: [], chosen: '' },
    { says: 'by a function', option: (offered) => offered.at(-1), offers: ['a, b'], chosen: 'b' },
    {
      says: 'nothing when the function says so',
      option: () => undefined,
      offers: ['a'],
      chosen: '',
    },
    {
      says: 'nothing when there is nothing to ask a function about',
      option: () => 'a',
      offers: [],
      chosen: '',
    },
    {
      says: 'what the headers say, without the option',
      option: undefined,
      offers: ['a'],
      headers: { 'Sec-WebSocket-Protocol': 'a' },
      chosen: 'a',
    },
    {
      says: 'not what the headers say, with the option',
      option: ['b'],
      offers: ['a, b'],
      headers: { 'sec-websocket-protocol': 'a' },
      chosen: 'b',
    },
  ];

  it.each(cases)('are chosen: $says', async ({ option, offers, headers, chosen }) => {
    const server = await withHeaders(new Upgrader({ subprotocols: option }), headers);
    const client = await connected(server);
    const answer = await client.upgrade({ add: offers.map((o) => `Sec-WebSocket-Protocol: ${o}`) });
    expect(answer.names.filter((name) => /protocol/i.test(name)).length).toBe(
      chosen === '' ? 0 : 1,
    );
    expect(answer.headers.get('sec-websocket-protocol') ?? '').toBe(chosen);
    const conn = (await server.outcome()) as Conn;
    expect(conn.subprotocol).toBe(chosen);
    conn.terminate();
  });

  it.each([
    { says: 'picks what was not offered', option: () => 'b', cause: /b was not offered/ },
    {
      says: 'throws',
      option: () => {
        throw new Error('secret');
      },
      cause: /secret/,
    },
  ])('answer 500 when their function $says', async ({ option, cause }) => {
    const server = await listening(new Upgrader({ subprotocols: option }));
    const answer = await exchange(server.port, request({ add: ['Sec-WebSocket-Protocol: a'] }));
    expect(answer.status).toBe(500);
    expect(answer.body).toBe('Internal Server Error\n');
    const error = (await server.outcome()) as HandshakeError;
    expect(String(error.cause)).toMatch(cause);
  });

  it.each(['a\r\nX-B: c', 'a, b', ' a', null, 5, {}, ['a'], Symbol('a'), Promise.resolve('a')])(
    'answer 500 when their function picks %o, which is not a token',
    async (picked) => {
      const server = await listening(new Upgrader({ subprotocols: () => picked as string }));
      const answer = await exchange(
        server.port,
        request({ add: ['Sec-WebSocket-Protocol: a, b'] }),
      );
      expect(answer.status).toBe(500);
      expect(answer.names).not.toContain('X-B');
      expect(await server.outcome()).toMatchObject({ cause: expect.any(TypeError) });
    },
  );
});

describe('checkOrigin', () => {
  it.each([
    { says: 'lets in', check: () => true, status: 101 },
    { says: 'lets in later', check: async () => true, status: 101 },
    { says: 'keeps out', check: () => false, status: 403 },
    { says: 'keeps out later', check: async () => false, status: 403 },
    {
      says: 'throws',
      check: (): boolean => {
        throw new Error('secret');
      },
      status: 500,
    },
    { says: 'rejects', check: () => Promise.reject(new Error('secret')), status: 500 },
  ])('decides alone: $says', async ({ check, status }) => {
    const server = await listening(new Upgrader({ checkOrigin: check }));
    const client = await connected(server);
    const answer = await client.upgrade({ add: ['Origin: https://evil.example'] });
    expect(answer.status).toBe(status);
    expect(client.received.toString()).not.toContain('secret');
    const outcome = await server.outcome();
    if (status === 101) (outcome as Conn).terminate();
    else expect(outcome).toMatchObject({ status });
  });

  it('that throws undefined answers 500', async () => {
    const checkOrigin = (): never => {
      throw undefined;
    };
    const server = await listening(new Upgrader({ checkOrigin }));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(await server.outcome()).toMatchObject({ status: 500, cause: undefined });
  });

  it('accepts listed origins', async () => {
    const server = await listening(new Upgrader({ allowedOrigins: ['https://*.example.org'] }));
    const client = await connected(server);
    const answer = await client.upgrade({ add: ['Origin: https://app.example.org'] });
    expect(answer.status).toBe(101);
    ((await server.outcome()) as Conn).terminate();
  });
});

describe('authenticate', () => {
  it.each([
    { says: '401 by true', result: { refuse: true as const }, status: 401, body: 'Unauthorized\n' },
    { says: '401 by false', result: false as const, status: 401, body: 'Unauthorized\n' },
    { says: 'a status', result: { refuse: 418 }, status: 418, body: "I'm a Teapot\n" },
    { says: 'a status without a name', result: { refuse: 599 }, status: 599, body: 'Refused\n' },
    {
      says: 'headers and body',
      result: {
        refuse: 401,
        headers: { 'WWW-Authenticate': 'Basic', 'Content-Type': 'text/html' },
        body: 'nö',
      },
      status: 401,
      body: Buffer.from('nö').toString('latin1'),
    },
  ])('refuses with $says', async ({ result, status, body }) => {
    const server = await listening(new Upgrader({ authenticate: () => result }));
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(status);
    expect(answer.body).toBe(body);
    expect(answer.headers.get('content-length')).toBe(String(body.length));
    if (typeof result === 'object' && 'headers' in result) {
      expect(answer.headers.get('www-authenticate')).toBe('Basic');
      expect(answer.headers.get('content-type')).toBe('text/html');
      expect(answer.names.filter((name) => name === 'Content-Type').length).toBe(1);
    }
    expect(await server.outcome()).toMatchObject({ status });
  });

  it('is called after the check of the key and before the subprotocol', async () => {
    let asked = 0;
    const upgrader = new Upgrader({
      authenticate: () => {
        asked++;
        return { refuse: 403 };
      },
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request({ without: ['sec-websocket-key'] }))).status).toBe(
      400,
    );
    expect(asked).toBe(0);
    const both = request({ add: ['Sec-WebSocket-Protocol: a b'] });
    expect((await exchange(server.port, both)).status).toBe(403);
    expect(asked).toBe(1);
  });

  it('that rejects with nothing answers 500', async () => {
    const server = await listening(new Upgrader({ authenticate: () => Promise.reject(undefined) }));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(await server.outcome()).toMatchObject({ status: 500, cause: undefined });
  });

  it('passes its typed result to the handler', async () => {
    const upgrader = new Upgrader({
      authenticate: async (req) => {
        await Promise.resolve();
        if (req.url === '/secret') return { refuse: 401 };
        return admit({ user: String(req.url) });
      },
    });
    const listener = upgrader.handler((conn, _req, { auth }) => {
      expectTypeOf(auth.user).toEqualTypeOf<string>();
      return conn.send(auth.user);
    });
    const server = await listening(listener);
    const client = await connected(server);
    await client.upgrade();
    await client.until(() => client.received.length >= 7);
    expect(client.received.subarray(2).toString()).toBe('/chat');
    expect((await exchange(server.port, request({ line: 'GET /secret HTTP/1.1' }))).status).toBe(
      401,
    );
  });
});
