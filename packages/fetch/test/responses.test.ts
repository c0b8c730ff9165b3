import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type AdmitOrRefuse, refuse, type UpgradeOptions, upgrade } from '@ws/fetch';
import { dial } from '@ws/node-client';
import { admit } from '@ws/node-server';
import { Response as UndiciResponse } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import { upgrade as upgradeOnDeno } from '../src/deno.ts';
import { serveByAdapter } from './node/adapter-server.ts';
import { OldResponse, ReplacedResponse } from './other-responses.ts';
import { FIELDS, refusal, serve } from './serving.ts';

type Authenticate = NonNullable<UpgradeOptions<AdmitOrRefuse>['authenticate']>;

const REFUSALS: [string, (status: number) => unknown][] = [
  ['undici', (status) => new UndiciResponse('no', { status, headers: { 'X-Who': 'login' } })],
  ['a ponyfill', (status) => new OldResponse('no', status, { 'X-Who': 'login' })],
  ['the runtime', (status) => new Response('no', { status, headers: { 'X-Who': 'login' } })],
];

/** Objects that are meant to refuse, and others that cannot be sent. */
const MISTAKES: [string, () => unknown][] = [
  ['a Response of 200 of undici', () => ({ refuse: new UndiciResponse('yes') })],
  ['a Response of 200 of undici, bare', () => new UndiciResponse('yes')],
  ['a Response of 204 of a ponyfill', () => ({ refuse: new OldResponse(null, 204) })],
  ['a Response of 204 of a ponyfill, bare', () => new OldResponse(null, 204)],
  ['a Response of 600', () => ({ refuse: new OldResponse('no', 600) })],
  ['a Response of 600, bare', () => new OldResponse('no', 600)],
  ['a Response without a status', () => ({ refuse: new OldResponse('no', undefined as never) })],
  ['a Response without a status, bare', () => new OldResponse('no', undefined as never)],
  ['a Response whose status is a text', () => ({ refuse: new OldResponse('no', '401' as never) })],
  ['a Response whose status is a text, bare', () => new OldResponse('no', '401' as never)],
  ['{ status: 401 }', () => ({ status: 401 })],
  ['{ status: 302, url }', () => ({ status: 302, url: '/login' })],
  ['{ status: 599 }', () => ({ status: 599 })],
  [
    'a result of admit in an object',
    () => ({ user: admit('ada', { expires: Date.now() + 60_000 }) }),
  ],
  ['a result of admit in a list', () => [admit('ada')]],
  ['a result of admit three levels deep', () => ({ a: [{ user: admit('ada') }] })],
  ['{ error }', () => ({ error: 'no token' })],
  ['{ code, message }', () => ({ code: 401, message: 'no token' })],
  ['an Error of another realm', () => ({ message: 'no', stack: 'Error: no' })],
];

/** What `upgrade` of Deno answers, which has no part for Node. */
async function answerTo(authenticate: Authenticate): Promise<{
  response: Response;
  reports: Error[];
}> {
  const reports: Error[] = [];
  const response = await upgradeOnDeno(
    new Request('http://example.org/', { headers: FIELDS }),
    { authenticate, report: (error) => void reports.push(error as Error) },
    () => expect.unreachable('it was upgraded'),
  );
  return { response, reports };
}

describe('refuse(response) in authenticate', () => {
  describe.each(REFUSALS)('of %s', (_, make) => {
    it.each([300, 302, 401, 403, 503, 599])('refuses with %i', async (status) => {
      const { response, reports } = await answerTo(async () => refuse(make(status) as Response));
      expect(response).toBeInstanceOf(Response);
      expect([response.status, response.headers.get('x-who')]).toEqual([status, 'login']);
      expect([await response.text(), reports]).toEqual(['no', []]);
    });
  });

  it('refuses with 304, which has no body', async () => {
    const { response } = await answerTo(() => refuse(new OldResponse('', 304) as never));
    expect([response.status, response.body]).toEqual([304, null]);
  });
});

describe('N1 authenticate that does not settle', () => {
  it('refuses with 503', async () => {
    const response = await upgradeOnDeno(
      new Request('http://example.org/', { headers: FIELDS }),
      { authenticate: () => new Promise<never>(() => {}), handshakeTimeout: 1 },
      () => expect.unreachable('it was upgraded'),
    );
    expect([response.status, await response.text()]).toEqual([503, 'handshake timed out\n']);
  });
});

describe('a mistake in authenticate', () => {
  it.each(MISTAKES)('%s is a 500, reported once', async (_, make) => {
    const { response, reports } = await answerTo(make as () => never);
    expect([response.status, reports.length]).toEqual([500, 1]);
  });

  it.each(MISTAKES.slice(10, 18))('names the cure for %s', async (_, make) => {
    const { reports } = await answerTo(make as () => never);
    expect(reports[0]?.message).toContain('write admit(value)');
  });
});

describe('a Response that fetch of another server has returned', () => {
  /** A server whose answers are compressed. */
  async function loginService(): Promise<string> {
    const server = createServer((_req, res) => {
      const body = gzipSync('who are you?');
      res.writeHead(401, {
        'Content-Encoding': 'gzip',
        'Content-Length': body.length,
        'WWW-Authenticate': 'Bearer',
      });
      res.end(body);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  it('refuses with its decompressed body', async () => {
    const login = await loginService();
    const authenticate: Authenticate = async () => {
      const response = await fetch(login);
      return response.ok ? admit({ user: 'ada' }) : refuse(response);
    };
    const error = await refusal(await serve((from) => upgrade(from, { authenticate }, () => {})));
    expect([error.status, String(error.body)]).toEqual([401, 'who are you?']);
    expect(error.headers['content-encoding']).toBe(undefined);
    expect(error.headers['www-authenticate']).toBe('Bearer');
  });

  it('is a page', async () => {
    const login = await loginService();
    const page = await fetch((await serve(() => fetch(login))).replace('ws', 'http'));
    expect([page.status, await page.text()]).toEqual([401, 'who are you?']);
  });
});

describe('a Response of another class from fetch', () => {
  it.each(REFUSALS)('of %s is sent: a page, and a 403 to a request to upgrade', async (_, make) => {
    const url = await serve(((from: Request) =>
      make(from.headers.has('upgrade') ? 403 : 200)) as never);
    const page = await fetch(url.replace('ws', 'http'));
    expect([page.status, page.headers.get('x-who'), await page.text()]).toEqual([
      200,
      'login',
      'no',
    ]);
    const error = await refusal(url);
    expect([error.status, error.headers['x-who'], String(error.body)]).toEqual([
      403,
      'login',
      'no',
    ]);
  });

  it('of undici keeps each cookie', async () => {
    const url = await serve(() => {
      const response = new UndiciResponse('page');
      response.headers.append('Set-Cookie', 'a=1');
      response.headers.append('Set-Cookie', 'b=2');
      return response;
    });
    const page = await fetch(url.replace('ws', 'http'));
    expect(page.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  });

  it('may be a copy of the Response of upgrade', async () => {
    const url = await serve(async (from) => {
      const { status, headers } = await upgrade(from, {}, (conn) => conn.send('open'));
      return new UndiciResponse(null, { status, headers: [...headers, ['X-Copied', 'yes']] });
    });
    const conn = await dial(url);
    expect(conn.response.headers['x-copied']).toBe('yes');
    expect((await conn.readMessage()).text()).toBe('open');
    await conn.close();
  });

  it.each(REFUSALS)(
    'of %s refuses when the hook upgrade of an adapter gives it',
    async (_, make) => {
      const returns = { upgrade: () => make(403) };
      const throws = {
        upgrade: () => {
          throw make(403);
        },
      };
      for (const hooks of [returns, throws]) {
        const error = await refusal((await serveByAdapter({ hooks })).url);
        expect([error.status, error.headers['x-who']]).toEqual([403, 'login']);
      }
    },
  );
});

describe('a class that has replaced the global Response', () => {
  /** As `@hono/node-server` does: instances of the class before are no instances of it. */
  const replace = (): typeof Response => {
    const before = globalThis.Response;
    globalThis.Response = ReplacedResponse as never;
    onTestFinished(() => void (globalThis.Response = before));
    return before;
  };

  it('does not admit a client whose login service has refused', async () => {
    const Before = replace();
    const url = await serve((from) =>
      upgrade(
        from,
        { authenticate: async () => refuse(new Before('no', { status: 401 })) },
        () => {},
      ),
    );
    expect((await refusal(url)).status).toBe(401);
  });

  it('keeps upgrades and pages of both classes', async () => {
    const Before = replace();
    const url = await serve((from) =>
      from.headers.has('upgrade')
        ? upgrade(from, {}, (conn) => conn.send('open'))
        : new Before('page'),
    );
    const conn = await dial(url);
    expect((await conn.readMessage()).text()).toBe('open');
    await conn.close();
    expect(await (await fetch(url.replace('ws', 'http'))).text()).toBe('page');
  });
});
