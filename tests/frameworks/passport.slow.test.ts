import { type ClientConn, dial } from '@ws/node-client';
import type { Example } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPage, writePrograms } from './page.ts';

const folder = writePrograms();

describe('passport.ts', () => {
  let example: Example;
  beforeAll(async () => void (example = await startPage(folder, 'passport.ts')));
  afterAll(() => example?.stop());

  async function login(password: string, username = 'ada', { url } = example): Promise<Response> {
    const body = new URLSearchParams({ username, password });
    return fetch(`${url}/login`, { method: 'POST', body });
  }

  function connect(cookie: string, { ws } = example): Promise<ClientConn> {
    return dial(ws, { headers: { cookie } });
  }

  const cookieOf = (response: Response): string =>
    response.headers.get('set-cookie')!.split(';')[0]!;

  it('greets the user whom Passport has logged in', async () => {
    const response = await login('engine');
    expect(response.status).toBe(204);
    const conn = await connect(cookieOf(response));
    expect((await conn.readMessage()).text()).toBe('hello ada');
    await conn.send('echo');
    expect((await conn.readMessage()).text()).toBe('echo');
    await conn.close();
  });

  it.each(['', 'connect.sid=s%3Aforged.signature'])(
    'refuses the cookie "%s" with 401',
    async (cookie) => {
      await expect(connect(cookie)).rejects.toMatchObject({ status: 401 });
    },
  );

  it.each([
    ['ada', 'wrong'],
    ['eve', 'engine'],
    ['__proto__', 'engine'],
  ])('sets no cookie for %s with the password %s', async (name, password) => {
    const response = await login(password, name);
    expect([response.status, response.headers.get('set-cookie')]).toEqual([401, null]);
  });

  it('bounds the logins of an address', async () => {
    const own = await startPage(folder, 'passport.ts');
    const statuses = await Promise.all(
      Array.from({ length: 60 }, async () => (await login('wrong', 'ada', own)).status),
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(50);
    await own.stop();
  });

  it('closes the connections of an expired login with 4401', async () => {
    const own = await startPage(folder, 'passport.ts', { SESSION_SECONDS: '2' });
    const cookie = cookieOf(await login('engine', 'ada', own));
    const conn = await connect(cookie, own);
    void conn.discardReads().catch(() => {});
    expect((await conn.closed).code).toBe(4401);
    await expect(connect(cookie, own)).rejects.toMatchObject({ status: 401 });
    await own.stop();
  });

  it('ends on SIGTERM with exit code 0', async () => {
    expect(await example.stop(), example.output()).toBe(0);
  });
});
