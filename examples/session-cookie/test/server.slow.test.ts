import { once } from 'node:events';
import { request } from 'node:http';
import { type ClientConn, dial } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  rejectedExample,
  rejectsWrongPort,
  STACK,
  startExample,
} from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';

/** The tests log in more often than a visitor does. */
const MANY = { LOGINS_PER_MINUTE: '1000' };
let example: Example;

interface Login {
  readonly status: number;
  readonly setCookie: string;
  /** The `Cookie` header that a browser sends back. */
  readonly cookie: string;
}

async function login(
  user = 'ada',
  password = 'analytical engine',
  { url } = example,
  headers: Record<string, string> = {},
): Promise<Login> {
  const body = new URLSearchParams({ user, password });
  const response = await fetch(`${url}/login`, { method: 'POST', body, headers });
  const setCookie = response.headers.get('set-cookie') ?? '';
  return { status: response.status, setCookie, cookie: setCookie.split(';')[0]! };
}

async function logout(cookie: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${example.url}/logout`, { method: 'POST', headers: { cookie, ...headers } });
}

function connect(
  cookie: string | undefined,
  headers: Record<string, string> = {},
): Promise<ClientConn> {
  return dial(example.ws, { headers: { ...(cookie && { cookie }), ...headers } });
}

describe('examples/session-cookie', () => {
  beforeAll(async () => void (example = await startExample('session-cookie', MANY)));
  afterAll(() => example?.stop());

  it('sets a cookie that scripts cannot read and other sites do not send', async () => {
    const { status, setCookie } = await login();
    expect(status).toBe(204);
    expect(setCookie).toMatch(
      /^session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=3600$/,
    );
    expect((await login()).setCookie).not.toBe(setCookie);
  });

  it('connects a client with the cookie, and greets it by name', async () => {
    const { cookie } = await login();
    const conn = await connect(`theme=dark; ${cookie}; lang=en`);
    expect((await conn.readMessage()).text()).toBe('hello ada');
    await conn.send('echo');
    expect((await conn.readMessage()).text()).toBe('echo');
    await conn.close();
  });

  it('connects a page of its own origin, with the client of ws', async () => {
    const { cookie } = await login();
    const socket = new WebSocket(example.ws, { headers: { cookie }, origin: example.url });
    const [greeting] = await once(socket, 'message');
    expect(String(greeting)).toBe('hello ada');
    socket.close();
    await once(socket, 'close');
  });

  it.each([
    { says: 'no cookie', cookie: () => undefined },
    { says: 'another cookie', cookie: () => 'theme=dark' },
    { says: 'an empty cookie', cookie: () => 'session=' },
    { says: 'an id that was never given', cookie: () => `session=${'A'.repeat(43)}` },
    { says: 'a cookie cut short', cookie: (good: string) => good.slice(0, -1) },
    { says: 'a cookie with another name', cookie: (good: string) => `x${good}` },
  ])('refuses $says with 401', async ({ cookie }) => {
    const good = await login();
    await expect(connect(cookie(good.cookie))).rejects.toMatchObject({ status: 401 });
  });

  it.each(['https://example.org', 'null', 'http://127.0.0.1.example.org'])(
    'refuses a page of %s with 403 despite its cookie',
    async (origin) => {
      const { cookie } = await login();
      await expect(connect(cookie, { Origin: origin })).rejects.toMatchObject({ status: 403 });
    },
  );

  it('accepts its own names, and answers other names with 421', async () => {
    const { cookie } = await login();
    for (const [host, expected] of [
      [`localhost:${example.port}`, 'hello ada'],
      [`rebound.example.org:${example.port}`, 421],
      ['127.0.0.1.example.org', 421],
    ] as const) {
      const headers = { Host: host, Origin: `http://${host}` };
      const refused = expected === 421;
      const answer = await connect(cookie, headers).then(
        async (conn) => (await conn.readMessage()).text(),
        ({ status }) => status,
      );
      expect([host, answer]).toEqual([host, expected]);
      // Not with fetch, which sets the Host itself.
      const asked = request(`${example.url}/login`, { method: 'POST', headers });
      const [{ statusCode }] = await once(asked.end('user=ada'), 'response');
      expect([host, statusCode]).toEqual([host, refused ? 421 : 401]);
    }
  });

  it('rejects 1.5 as SESSION_SECONDS', async () => {
    const ended = await rejectedExample('session-cookie', { SESSION_SECONDS: '1.5' });
    expect(ended).toContain('SESSION_SECONDS: expected 1 to 999999999, got "1.5"\n');
    expect(ended).not.toMatch(STACK);
  });

  it.each([
    ['ada', 'difference engine'],
    ['ada', ''],
    ['grace', 'analytical engine'],
    ['__proto__', 'analytical engine'],
  ])('does not log in %s with the password "%s"', async (user, password) => {
    const { status, setCookie } = await login(user, password);
    expect([status, setCookie]).toEqual([401, '']);
  });

  it('closes the connections of a session at its logout, and then refuses its cookie', async () => {
    const [mine, other] = [await login(), await login()];
    const [first, second, kept] = [
      await connect(mine.cookie),
      await connect(mine.cookie),
      await connect(other.cookie),
    ];
    expect((await logout(mine.cookie)).headers.get('set-cookie')).toContain('Max-Age=0');
    for (const conn of [first, second]) {
      expect(await Promise.all([conn.closed, conn.discardReads().catch(() => {})])).toMatchObject([
        { code: 1008, reason: 'logged out' },
        undefined,
      ]);
    }
    await expect(connect(mine.cookie)).rejects.toMatchObject({ status: 401 });
    await kept.readMessage();
    await kept.send('still here');
    expect((await kept.readMessage()).text()).toBe('still here');
    await kept.close();
  });

  it('ends only the session of a browser that logs in again', async () => {
    const [old, other] = [await login(), await login()];
    const [conn, kept] = [await connect(old.cookie), await connect(other.cookie)];
    void conn.discardReads();
    expect((await login('ada', 'wrong', example, { cookie: old.cookie })).status).toBe(401);
    expect(conn.state).toBe('open');
    const next = await login('ada', 'analytical engine', example, { cookie: old.cookie });
    expect(await conn.closed).toMatchObject({ code: 1008, reason: 'logged in again' });
    await expect(connect(old.cookie)).rejects.toMatchObject({ status: 401 });
    for (const alive of [kept, await connect(next.cookie)]) {
      expect((await alive.readMessage()).text()).toBe('hello ada');
      await alive.close();
    }
  });

  it('refuses a logout by a page of another origin', async () => {
    const { cookie } = await login();
    expect((await logout(cookie, { Origin: 'https://example.org' })).status).toBe(403);
    const conn = await connect(cookie);
    await conn.close();
  });

  it('closes the connections of an expired session, and then refuses its cookie', async () => {
    const own = await startExample('session-cookie', { SESSION_SECONDS: '3' });
    const { cookie, setCookie } = await login('ada', 'analytical engine', own);
    expect(setCookie).toContain('Max-Age=3');
    const conn = await dial(own.ws, { headers: { cookie } });
    void conn.discardReads();
    expect(await conn.closed).toMatchObject({ code: 4401, reason: 'login expired' });
    await expect(dial(own.ws, { headers: { cookie } })).rejects.toMatchObject({ status: 401 });
    expect(await own.stop()).toBe(0);
  });

  it('answers 429 above LOGINS_PER_MINUTE, keeps a session of 30 days, and ends on SIGTERM with 1001', async () => {
    const own = await startExample('session-cookie', {
      LOGINS_PER_MINUTE: '2',
      SESSION_SECONDS: '2592000',
    });
    onTestFinished(() => void own.stop());
    expect((await login('ada', 'wrong', own)).status).toBe(401);
    const { cookie, setCookie } = await login('ada', 'analytical engine', own);
    expect(await login('ada', 'analytical engine', own)).toMatchObject({
      status: 429,
      setCookie: '',
    });
    // The session of 30 days exists, and ends on SIGTERM.
    expect(setCookie).toContain('Max-Age=2592000');
    const conn = await dial(own.ws, { headers: { cookie } });
    expect((await conn.readMessage()).text()).toBe('hello ada');
    void conn.discardReads();
    const end = own.stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    expect(await end, own.output()).toBe(0);
  });

  rejectsWrongPort('session-cookie');

  endsWithSilentClient(
    () => startExample('session-cookie'),
    async (own) => {
      const { cookie } = await login('ada', 'analytical engine', own);
      return dial(own.ws, { headers: { cookie } });
    },
  );
});
