import { type AdmitOrRefuse, type UpgradeOptions, upgrade } from '@ws/fetch';
import { dial } from '@ws/node-client';
import { admit } from '@ws/node-server';
import { describe, expect, expectTypeOf, it, onTestFinished, vi } from 'vitest';
import { upgrade as upgradeOnDeno } from '../../src/deno.ts';
import { FIELDS, refusal, serve as serveFor } from '../serving.ts';
import { serveByAdapter } from './adapter-server.ts';

type Authenticate = NonNullable<UpgradeOptions<AdmitOrRefuse>['authenticate']>;

/** Sends what the handler gets as `auth`, and as `data`. */
const answer = (request: Request, authenticate: Authenticate): Promise<Response> =>
  upgrade(request, { authenticate, report() {} }, (conn, { auth }) =>
    conn.writeJSON([auth, conn.data]),
  );

const byServeFetch = (authenticate: Authenticate): Promise<string> =>
  serveFor((request) => answer(request, authenticate));

async function byCrossws(authenticate: Authenticate): Promise<string> {
  const { url } = await serveByAdapter({
    hooks: { upgrade: (request) => answer(request, authenticate) },
  });
  return url;
}

describe.each([
  ['serveFetch', byServeFetch],
  ['crosswsAdapter', byCrossws],
])('a result of admit from authenticate of upgrade, with %s', (_, serve) => {
  it('closes the connection when the login expires', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const auth = { user: 'ada' };
    const url = await serve(async () => admit(auth, { expires: Date.now() + 200 }));
    const conn = await dial(url);
    expect(await conn.readJSON()).toEqual([auth, auth]);
    vi.advanceTimersByTime(200);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4401 });
    expect(await conn.closed).toMatchObject({ code: 4401, reason: 'login expired' });
  });

  it('is the auth alone without a time', async () => {
    const conn = await dial(await serve(() => admit('ada')));
    expect(await conn.readJSON()).toEqual(['ada', 'ada']);
    await conn.close();
  });

  it.each([
    ['no user', undefined, 500],
    ['a refusal', { refuse: 403 }, 500],
    ['an error', new Error('no database'), 500],
  ])('refuses with %s', async (_what, auth, status) => {
    const url = await serve(() => admit(auth as never, { expires: Date.now() + 60_000 }));
    expect((await refusal(url)).status).toBe(status);
  });
});

describe('a result of admit on another runtime', () => {
  it('is refused with 500 and reported', async () => {
    const reports: unknown[] = [];
    const response = await upgradeOnDeno(
      new Request('http://example.org/', { headers: FIELDS }),
      {
        authenticate: () => admit('ada', { expires: Date.now() + 60_000 }),
        report: (error) => void reports.push(error),
      },
      () => expect.unreachable('it was upgraded'),
    );
    expect(response.status).toBe(500);
    expect(reports).toEqual([
      expect.objectContaining({
        message: expect.stringContaining('this runtime cannot end a login'),
      }),
    ]);
  });
});

describe('AuthOf', () => {
  it('is the type of the data in a result of admit', () => {
    const options = {
      authenticate: async (request: Request) =>
        request.url === '' ? { refuse: 403 } : admit({ user: 'ada' }, { expires: 5 }),
    };
    const typed = (request: Request): Promise<Response> =>
      upgrade(request, options, (conn, { auth }) => {
        expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
        expectTypeOf(conn.data).toEqualTypeOf<{ user: string }>();
      });
    expectTypeOf(typed).returns.resolves.toEqualTypeOf<Response>();
  });
});
