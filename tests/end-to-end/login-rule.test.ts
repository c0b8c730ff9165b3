import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from '@ws/compat';
import { admit as admitInFetch } from '@ws/fetch';
import { upgrade as upgradeOnDeno } from '@ws/fetch/deno';
import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { dial } from '@ws/node-client';
import { type Admission, admit, refuse, serve } from '@ws/node-server';
import { type HeadCallbacks, serveRaw } from '@ws/node-server/raw';
import { createProxy } from '@ws/proxy';
import { whenOver } from '@ws/tests';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Authenticate, portOf, SERVERS, statusOf } from './login-servers.ts';

const host = '127.0.0.1';

class User {
  readonly #name: string;
  constructor(name: string) {
    this.#name = name;
  }
  get name(): string {
    return this.#name;
  }
}

function* middleware(): Generator<string> {
  yield 'next';
}

const failed = new Error('no such user');

/** Ways to say no, or to hand out what a lookup has returned. Those of `quiet` refuse with 401. */
const QUIET: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['false', false],
];
const NOES: readonly (readonly [string, unknown])[] = [
  ["''", ''],
  ['0', 0],
  ['-0', -0],
  ['0n', 0n],
  ['NaN', Number.NaN],
  ['1', 1],
  ['-1, of indexOf', -1],
  ['1n', 1n],
  ["'unauthorized'", 'unauthorized'],
  ["'false'", 'false'],
  ["'no'", 'no'],
  ["'ada', a user", 'ada'],
  ['a Symbol', Symbol('no')],
  ['[]', []],
  ['[undefined]', [undefined]],
  ['[null, rows]', [null, []]],
  ['a user in a list', [{ user: 'ada' }]],
  ['{}', {}],
  ['an object without a prototype', Object.create(null)],
  ['{ user: undefined }', { user: undefined }],
  ['{ user: null }', { user: null }],
  ['{ user }', { user: 'ada' }],
  ['{ ok: false }', { ok: false }],
  ['{ ok: true }', { ok: true }],
  ['{ ok: false, reason }', { ok: false, reason: 'expired' }],
  ['{ success: false, error }', { success: false, error: failed }],
  ['{ success: true, data }', { success: true, data: { user: 'ada' } }],
  ['{ valid: false }', { valid: false }],
  ['{ allowed: false }', { allowed: false }],
  ['{ authorized: false }', { authorized: false }],
  ['{ authenticated: false }', { authenticated: false }],
  ['{ error }', { error: 'no token' }],
  ['{ error: null, data: null }', { error: null, data: null }],
  ['{ code, message }', { code: 401, message: 'no' }],
  ['{ status: 401 }', { status: 401 }],
  ['{ statusCode: 401 }', { statusCode: 401 }],
  ['{ status: 200 }', { status: 200 }],
  ['{ active: false } of an introspection', { active: false }],
  ['{ rows: [], rowCount: 0 }', { rows: [], rowCount: 0 }],
  ['{ done: true }', { done: true, value: undefined }],
  ['an admission in an object', { user: admit('ada') }],
  ['an admission in a list', [admit('ada')]],
  ['a copy of an admission', Object.assign({}, admit('ada'))],
  ['an object of an admission', Object.create(admit('ada'))],
  ['the function admit', admit],
  ['a function', () => true],
  ['an async function', async () => true],
  ['a class', User],
  ['a generator', middleware()],
  ['a generator function', middleware],
  ['an instance', new User('ada')],
  ['a Map', new Map([['user', 'ada']])],
  ['a Set', new Set(['ada'])],
  ['a Date', new Date()],
  ['a RegExp', /no/],
  ['bytes', Uint8Array.of(0)],
  ['an ArrayBuffer', new ArrayBuffer(1)],
  ['Boolean(false), boxed', Object(false)],
  ['Boolean(true), boxed', Object(true)],
  ["String(''), boxed", Object('')],
  ['URLSearchParams', new URLSearchParams('user=ada')],
  ['Headers', new Headers()],
  ['a Request', new Request('http://example.org')],
  ['a Response of 200', new Response('yes')],
  ['a Response of 403', new Response('no', { status: 403 })],
  ['a Response of a redirect', Response.redirect('http://example.org/login', 302)],
  ['{ refuse: a Response of 200 }', { refuse: new Response('yes') }],
  ['an Error', failed],
  ['a TypeError', new TypeError('no')],
  ['an Error of another realm', { message: 'no', stack: 'Error: no' }],
  ['{ refuse: false }', { refuse: false }],
  ['{ refuse: undefined }', { refuse: undefined }],
  ["{ refuse: '401' }", { refuse: '401' }],
  ['{ refuse: 200 }', { refuse: 200 }],
  ['a Proxy', new Proxy({}, {})],
];

const WAYS = [
  ['returns', (value: unknown) => () => value],
  ['resolves with', (value: unknown) => async () => value],
] as const;

describe.each(Object.entries(SERVERS))('N1 authenticate of %s', (_, start) => {
  describe.each(WAYS)('that %s', (way, make) => {
    it('admits by true and by a result of admit only', async () => {
      let result: unknown;
      let reports: unknown[] = [];
      const url = await start(
        (() => make(result)()) as Authenticate,
        (error) => void reports.push(error),
      );
      for (const yes of [true, admit('ada'), admit({ user: 'ada', team: null })]) {
        result = yes;
        expect(await statusOf(url)).toBe(101);
      }
      for (const [name, value] of QUIET) {
        result = value;
        expect([name, await statusOf(url)]).toEqual([name, 401]);
      }
      for (const no of [
        { refuse: 403 },
        refuse(403),
        refuse(new Response('no', { status: 403 })),
      ]) {
        result = no;
        expect(await statusOf(url)).toBe(403);
      }
      for (const [name, value] of NOES) {
        result = value;
        reports = [];
        expect([way, name, await statusOf(url), reports.length]).toEqual([way, name, 500, 1]);
        const isOwn = value instanceof Error || name.includes('realm');
        const says =
          isOwn || /refuse|copy|object of|Response/.test(name) ? /./ : /write admit\(value\)/;
        expect(String(reports[0])).toMatch(says);
      }
    });
  });
});

describe('N1 authenticate of upgrade on Deno', () => {
  it.each([...QUIET, ...NOES])('refuses %s', async (_, value) => {
    const reports: unknown[] = [];
    const headers = {
      Connection: 'Upgrade',
      Host: 'example.org',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const response = await upgradeOnDeno(
      new Request('http://example.org/', { headers }),
      { authenticate: () => value as never, report: (error) => void reports.push(error) },
      () => expect.unreachable(),
    );
    const isQuiet = QUIET.some(([, quiet]) => quiet === value);
    expect(response.status).toBe(isQuiet ? 401 : 500);
    expect(reports).toHaveLength(isQuiet && value !== undefined ? 0 : 1);
  });
});

describe('EA6 authenticate that returns what nobody means', () => {
  it.each<[string, unknown]>([
    ['a function', () => true],
    ['an async function', async () => true],
    ['a class', User],
    ['a generator function', middleware],
    ['a generator', middleware()],
  ])('refuses %s, and says what to write', async (_, value) => {
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    const url = await SERVERS['serve']!((() => value) as Authenticate, report);
    expect(await statusOf(url)).toBe(500);
    expect(String(reports)).toContain('write admit(value)');
  });
});

describe('N1 checkOrigin', () => {
  it.each(WAYS)('that %s admits by true only', async (_, make) => {
    let result: unknown;
    let reports: unknown[] = [];
    const server = await serve(
      {
        host,
        checkOrigin: (() => make(result)()) as never,
        report: (error) => void reports.push(error),
      },
      (conn) => conn.terminate(),
    );
    whenOver(() => server.close({ timeout: 1 }));
    result = true;
    expect(await statusOf(server.url)).toBe(101);
    for (const [name, value] of [...QUIET, ...NOES, ['admit', admit('ada')] as const]) {
      result = value;
      reports = [];
      expect([name, await statusOf(server.url)]).toEqual([name, 403]);
      if (QUIET.some(([quiet]) => quiet === name)) continue;
      expect(reports).toEqual([
        expect.objectContaining({
          message: expect.stringMatching(/^checkOrigin: expected true or/),
        }),
      ]);
    }
  });
});

describe('N1 mayJoin and mayPublish', () => {
  it.each(WAYS)('that %s admit by true only', async (_, make) => {
    let result: unknown = true;
    const may = (() => make(result)()) as never;
    const rooms = serveRooms({
      open: { mayJoin: true, mayPublish: may },
      closed: { mayJoin: may },
    });
    const hub = new Hub({ mayJoin: may });
    hub.on('error', () => {});
    rooms.hub.on('error', () => {});
    const server = await serve({ host }, { '/rooms': rooms.handler, '/hub': hub.handler });
    whenOver(() => server.close({ timeout: 1 }));
    const conn = await dial(`${server.url}/rooms`);
    whenOver(() => conn.terminate());
    let id = 0;
    type Answer = { readonly id?: number; readonly error?: { readonly code: number } };
    const call = async (method: string, params: object): Promise<number | undefined> => {
      await conn.writeJSON({ jsonrpc: '2.0', id: ++id, method, params });
      for (;;) {
        const answer = await conn.readJSON<Answer>();
        if (answer.id === id) return answer.error?.code;
      }
    };
    const message = { room: 'open', id: 'a'.repeat(22), data: 1 };
    const opened = new Promise<{ join(room: string): Promise<unknown> }>((resolve) => {
      hub.on('connect', (session) => resolve(session));
    });
    const other = await dial(`${server.url}/hub`);
    whenOver(() => other.terminate());
    const session = await opened;
    expect(await call('room.join', { room: 'open' })).toBeUndefined();
    for (const [name, value] of [...QUIET, ...NOES, ['admit', admit('ada')] as const]) {
      result = value;
      await expect(session.join('r').then(() => name)).rejects.toMatchObject({
        code: 'WS_ERR_ROOM_REFUSED',
      });
      expect([name, await call('room.join', { room: 'closed' })]).toEqual([name, -32001]);
      expect([name, await call('room.publish', message)]).toEqual([name, -32001]);
    }
  });
});

/** What `admit` takes. A rule cannot know what is meant; who wrote these wrote "admit". */
const TAKEN: readonly unknown[] = [
  'ada',
  'unauthorized',
  'false',
  1,
  -1,
  1n,
  { user: 'ada', isAdmin: false, team: null },
  { user: { name: null } },
  { id: 0 },
  { id: 0n },
  { at: new Date(0) },
  { success: false, error: failed },
  { ok: false, reason: 'expired' },
  { code: 401, message: 'no' },
  { error: 'no token' },
  { status: 401 },
  { rows: [], rowCount: 0 },
];

/** What `admit` does not take, and what its TypeError says. */
const REJECTED: readonly (readonly [string, unknown, RegExp])[] = [
  ['undefined', undefined, /expected a text, a number or an object, got undefined/],
  ['null', null, /got null; return false to refuse/],
  ['false', false, /got false/],
  ['true', true, /got true; .* true to admit without data/],
  ["''", '', /got ''/],
  ['0', 0, /got 0/],
  ['0n', 0n, /got 0/],
  ['NaN', Number.NaN, /got NaN/],
  ['a symbol', Symbol('a'), /got symbol/],
  ['a function', () => true, /got function/],
  ['a class', User, /got function/],
  ['[]', [], /an array/],
  ['a list of users', [{ user: 'ada' }], /an array/],
  ['an Error', failed, /an Error/],
  ['a Response', new Response('yes'), /a refusal/],
  ['a refusal', { refuse: 401 }, /a refusal; return it without admit/],
  ['an admission', admit('ada'), /a result of admit/],
  ['a promise', Promise.resolve('ada'), /a promise; await it first/],
  [
    '{ user: undefined }',
    { user: undefined },
    /user is undefined; write null for what may be missing/,
  ],
  ['{ user, team: undefined }', { user: 'ada', team: undefined }, /team is undefined; write null/],
  ['{ user: null }', { user: null }, /user.*write null for what may be missing/],
  ["{ user: '' }", { user: '' }, /user/],
  ['{ id: NaN }', { id: Number.NaN }, /id/],
  ['{ at: Invalid Date }', { at: new Date(Number.NaN) }, /at/],
  ['{ ok: false }', { ok: false }, /ok/],
  ['{ ok: true }', { ok: true }, /ok/],
  ['{ rows: [] }', { rows: [] }, /rows/],
  ['{ find() {} }', { find() {} }, /find/],
  ['{ error: null, data: null }', { error: null, data: null }, /error, data/],
  ['{ user: promise }', { user: Promise.resolve('ada') }, /user is a promise; await it first/],
  ['{ user: admission }', { user: admit('ada') }, /user is a result of admit/],
  ['{}', {}, /without a property/],
  ['a Map', new Map([['user', 'ada']]), /Map without a property/],
  ['an instance with private fields', new User('ada'), /without a property/],
  ['a generator', middleware(), /Generator without a property/],
];

describe('N1 admit', () => {
  it.each(TAKEN)('takes %o', (value) => {
    expect(admit(value as string).auth).toBe(value);
  });

  it.each(REJECTED)('throws a TypeError for %s', (_, value, says) => {
    expect(() => admit(value as string)).toThrow(TypeError);
    expect(() => admit(value as string)).toThrow(says);
  });

  it('is one function in all packages', () => {
    expect(admitInFetch).toBe(admit);
  });

  it.each(Object.entries(SERVERS))(
    'refuses with 500 in authenticate of %s, told once',
    async (_, start) => {
      let value: unknown;
      let reports: unknown[] = [];
      const url = await start(
        () => admit(value as string) as never,
        (error) => void reports.push(error),
      );
      for (const [name, each, says] of REJECTED) {
        value = each;
        reports = [];
        expect([name, await statusOf(url), reports.length]).toEqual([name, 500, 1]);
        expect(String(reports[0])).toMatch(says);
      }
    },
  );
});

describe('N1 the callbacks of serveRaw, as those of gobwas/ws', () => {
  const names = ['onRequest', 'onHost', 'onHeader', 'onBeforeUpgrade'] as const;

  it.each(names)('%s continues by undefined, and refuses with 500 for other noes', async (name) => {
    let result: unknown;
    const server = await serveRaw(
      { host, report() {}, [name]: (() => result) as never as HeadCallbacks['onHost'] },
      (conn) => conn.terminate(),
    );
    whenOver(() => server.close({ timeout: 1 }));
    expect(await statusOf(server.url)).toBe(101);
    const noes = [null, false, '', 0, failed, Promise.resolve(false)];
    for (const [i, no] of noes.entries()) {
      result = no;
      expect([i, await statusOf(server.url)]).toEqual([i, 500]);
    }
  });
});

describe('N1 verifyClient of compat, as that of ws', () => {
  it('admits by any value that is truthy', async () => {
    let result: boolean | undefined;
    const server = new WebSocketServer({ host, port: 0, verifyClient: () => result });
    whenOver(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const url = `ws://${host}:${(server.address() as AddressInfo).port}`;
    for (const no of [undefined, null, false, '', 0, Number.NaN]) {
      result = no as boolean;
      expect(await statusOf(url)).toBe(401);
    }
    for (const yes of [true, 1, 'ada', {}, Promise.resolve(false)]) {
      result = yes as boolean;
      expect(await statusOf(url)).toBe(101);
    }
  });
});

describe('N1 director of a proxy', () => {
  it('decides nothing', async () => {
    const target = await serve({ host }, (conn) => conn.terminate());
    whenOver(() => target.close({ timeout: 1 }));
    let result: unknown;
    const proxy = createProxy(target.url, { director: () => result });
    whenOver(() => proxy.close({ timeout: 1 }));
    const http = createServer();
    http.on('upgrade', proxy.handler);
    const url = await portOf(http);
    for (const value of [
      undefined,
      false,
      null,
      { refuse: 403 },
      new Response('', { status: 403 }),
    ]) {
      result = value;
      expect(await statusOf(url)).toBe(101);
    }
  });
});

describe('N1 refuse(response)', () => {
  it.each(Object.entries(SERVERS))('keeps status and headers: %s', async (_, start) => {
    let result: unknown;
    const reports: unknown[] = [];
    const url = await start((() => result) as Authenticate, (error) => void reports.push(error));
    const headers = { 'X-Who': 'login' };
    for (const status of [301, 302, 401, 403, 429, 503, 599]) {
      result = refuse(new Response('no', { status, headers }));
      await expect(dial(url)).rejects.toMatchObject({ status, headers: { 'x-who': 'login' } });
    }
    expect(reports).toEqual([]);
    result = new Response('no', { status: 403 });
    expect([await statusOf(url), String(reports)]).toEqual([
      500,
      'TypeError: authenticate: expected true, false or a result of admit, got Response; write refuse(response) to refuse with it',
    ]);
  });

  it('takes no options', () => {
    const parts = [new Response('no'), { body: 'no' }];
    expect(() => Reflect.apply(refuse, undefined, parts)).toThrow(/refuse: unknown option body/);
  });
});

describe('N1 the type of authenticate', () => {
  it('lets compile what decides, and nothing else', () => {
    const user = (): { readonly name: string } | undefined => undefined;
    const compiled = (): void => {
      void serve({ authenticate: () => true }, (_conn, _req, { auth }) => {
        expectTypeOf(auth).toEqualTypeOf<true>();
      });
      void serve({ authenticate: async () => false }, () => {});
      void serve({ authenticate: () => null }, () => {});
      void serve({ authenticate: () => undefined }, () => {});
      void serve(
        { authenticate: () => refuse(403, { headers: { 'X-A': 'b' }, body: 'no' }) },
        () => {},
      );
      void serve({ authenticate: () => ({ refuse: 403 }) }, () => {});
      void serve({ authenticate: async () => refuse(await fetch('http://a')) }, () => {});
      // @ts-expect-error: a Response
      void serve({ authenticate: () => new Response('no', { status: 403 }) }, () => {});
      // @ts-expect-error: options beside a Response
      refuse(new Response('no'), { body: 'no' });
      void serve(
        {
          authenticate: async () => {
            const found = user();
            return found !== undefined && admit(found);
          },
        },
        (_conn, _req, { auth }) => {
          expectTypeOf(auth).toEqualTypeOf<{ readonly name: string }>();
        },
      );
      expectTypeOf(admit({ a: 1 })).toEqualTypeOf<Admission<{ a: number }>>();
      // @ts-expect-error: a text
      void serve({ authenticate: () => 'ada' }, () => {});
      // @ts-expect-error: a number
      void serve({ authenticate: async () => 1 }, () => {});
      // @ts-expect-error: an array
      void serve({ authenticate: () => [] }, () => {});
      // @ts-expect-error: an object
      void serve({ authenticate: () => ({ user: 'ada' }) }, () => {});
      // @ts-expect-error: a lookup
      void serve({ authenticate: () => user() }, () => {});
      // @ts-expect-error: a function
      void serve({ authenticate: () => () => true }, () => {});
      // @ts-expect-error: an Error
      void serve({ authenticate: () => failed }, () => {});
      // @ts-expect-error: a function that returns nothing
      void serve({ authenticate: async (): Promise<void> => {} }, () => {});
      // @ts-expect-error: what may be missing
      admit(user());
      // @ts-expect-error: no data
      admit(true);
    };
    expect(compiled).toBeTypeOf('function');
  });
});
