// Functions of the application that decide about a client, with answers whose getters, traps or `then`
// throw: none admits, each is reported once, and nothing is unhandled.
import { upgrade as upgradeOnDeno } from '@ws/fetch/deno';
import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { dial } from '@ws/node-client';
import { admit, refuse, serve } from '@ws/node-server';
import { nothingUnhandled, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type Authenticate, SERVERS, statusOf } from './login-servers.ts';

nothingUnhandled();

const host = '127.0.0.1';

function thrower(): never {
  throw new Error('touched');
}

const TRAPS: ProxyHandler<object> = {
  get: thrower,
  has: thrower,
  getPrototypeOf: thrower,
  ownKeys: thrower,
  getOwnPropertyDescriptor: thrower,
};

/** Throws itself when it is touched. */
function recursiveProxy(): object {
  const trap = (): never => {
    throw proxy;
  };
  const proxy: object = new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap });
  return proxy;
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** Values that throw when they are read. A function that returns one of these has answered. */
const OBJECTS: Readonly<Record<string, () => unknown>> = {
  'a Proxy': () => new Proxy({}, TRAPS),
  'a Proxy of a function': () => new Proxy(() => true, TRAPS),
  'a Proxy of an admission': () => new Proxy(admit('ada'), TRAPS),
  'a Proxy that throws itself': recursiveProxy,
  'a revoked Proxy': revokedProxy,
  // oxlint-disable-next-line unicorn/no-thenable -- that is the test
  'an object with a getter `then`': () => Object.defineProperty({}, 'then', { get: thrower }),
};

// oxlint-disable-next-line unicorn/no-thenable -- that is the test
const thenable = (then: unknown): object => Object.defineProperty({}, 'then', { value: then });

/** Promises that reject, or become a value of {@link OBJECTS}: a question without an answer. */
const PROMISES: Readonly<Record<string, () => unknown>> = {
  'a thenable that throws': () => thenable(thrower),
  'a thenable that throws a Proxy': () =>
    thenable(() => {
      throw recursiveProxy();
    }),
  'a thenable that rejects twice, and then admits': () =>
    thenable((resolve: (value: unknown) => void, reject: (error: unknown) => void) => {
      reject(new Error('no'));
      reject(new Error('no'));
      resolve(true);
    }),
  'a thenable that resolves with a Proxy': () =>
    thenable((resolve: (value: unknown) => void) => resolve(recursiveProxy())),
  'a thenable that resolves with a thenable that throws': () =>
    thenable((resolve: (value: unknown) => void) => resolve(thenable(thrower))),
  ...Object.fromEntries(
    Object.entries(OBJECTS).flatMap(([name, make]) => [
      [`a promise of ${name}`, async () => make()],
      [`a rejection with ${name}`, () => Promise.reject(make())],
    ]),
  ),
};

const ANSWERS = { ...OBJECTS, ...PROMISES };

/** Answers, and functions that throw one. */
const CASES = [
  ...Object.entries(ANSWERS),
  ...Object.entries(OBJECTS).map(([name, make]) => [
    `throws ${name}`,
    () => {
      throw make();
    },
  ]),
] as [string, () => unknown][];

describe.each(Object.entries(SERVERS))('N1 authenticate of %s', (_, start) => {
  it('refuses with 500 for an answer that throws', async () => {
    let answer: () => unknown = () => true;
    let reports: unknown[] = [];
    const url = await start((() => answer()) as Authenticate, (error) => void reports.push(error));
    for (const [name, make] of CASES) {
      answer = make;
      reports = [];
      expect([name, await statusOf(url), reports.length]).toEqual([name, 500, 1]);
    }
    answer = () => true;
    expect(await statusOf(url)).toBe(101);
  });
});

describe('N1 checkOrigin', () => {
  it('refuses an answer that throws with 403, and a question without an answer with 500', async () => {
    let answer: () => unknown = () => true;
    let reports: unknown[] = [];
    const server = await serve(
      {
        host,
        checkOrigin: (() => answer()) as never,
        report: (error) => void reports.push(error),
      },
      (conn) => conn.terminate(),
    );
    whenOver(() => server.close({ timeout: 1 }));
    for (const [name, make] of CASES) {
      answer = make;
      reports = [];
      const status = name in OBJECTS ? 403 : 500;
      expect([name, await statusOf(server.url), reports.length]).toEqual([name, status, 1]);
    }
    answer = () => true;
    expect(await statusOf(server.url)).toBe(101);
  });
});

describe('N1 mayJoin and mayPublish', () => {
  it('refuse an answer that throws, and let a client ask again without an answer', async () => {
    let answer: () => unknown = () => true;
    const may = (() => answer()) as never;
    const rooms = serveRooms({
      open: { mayJoin: true, mayPublish: may },
      closed: { mayJoin: may },
    });
    const hub = new Hub({ mayJoin: may });
    let errors = 0;
    for (const each of [hub, rooms.hub]) each.on('error', () => void errors++);
    const server = await serve({ host }, { '/rooms': rooms.handler, '/hub': hub.handler });
    whenOver(() => server.close({ timeout: 1 }));
    const opened = new Promise<{ join(room: string): Promise<unknown> }>((resolve) => {
      hub.on('connect', (session) => resolve(session));
    });
    const [conn, other] = [await dial(`${server.url}/rooms`), await dial(`${server.url}/hub`)];
    whenOver(() => [conn, other].forEach((each) => each.terminate()));
    const session = await opened;
    let id = 0;
    type Answer = { readonly id?: number; readonly error?: { readonly code: number } };
    const call = async (method: string, params: object): Promise<number | undefined> => {
      await conn.writeJSON({ jsonrpc: '2.0', id: ++id, method, params });
      for (;;) {
        const given = await conn.readJSON<Answer>();
        if (given.id === id) return given.error?.code;
      }
    };
    const message = { room: 'open', id: 'a'.repeat(22), data: 1 };
    expect(await call('room.join', { room: 'open' })).toBeUndefined();
    for (const [name, make] of CASES) {
      answer = make;
      await expect(session.join('r').then(() => name)).rejects.toMatchObject({
        code: 'WS_ERR_ROOM_REFUSED',
      });
      const code = name in OBJECTS ? -32_001 : -32_000;
      expect([name, await call('room.join', { room: 'closed' })]).toEqual([name, code]);
      expect([name, await call('room.publish', message)]).toEqual([name, code]);
    }
    // A hub reports one error of a kind a second.
    expect(errors).toBeGreaterThan(1);
    answer = () => true;
    expect(await call('room.join', { room: 'closed' })).toBeUndefined();
  });
});

describe('N1 admit', () => {
  it.each(Object.entries(OBJECTS))('throws for %s, or passes it on untouched', (_, make) => {
    const value = make() as object;
    let admission: object | undefined;
    try {
      admission = admit(value);
    } catch {}
    if (admission !== undefined) expect(Reflect.get(admission, 'auth') === value).toBe(true);
  });
});

/** Refusals that cannot be sent, and one that can. */
const REFUSALS: readonly (readonly [string, () => unknown, number])[] = [
  ['a refusal', () => ({ refuse: 403, headers: { 'X-A': 'b' }, body: 'no' }), 403],
  [
    'a refusal with Content-Length',
    () => ({ refuse: 401, headers: { 'Content-Length': '5' } }),
    500,
  ],
  ['a refusal with Upgrade', () => ({ refuse: 401, headers: [['upgrade', 'websocket']] }), 500],
  [
    'a refusal with Connection',
    () => ({ refuse: 401, headers: new Headers({ connection: 'close' }) }),
    500,
  ],
  [
    'a refusal with Transfer-Encoding',
    () => ({ refuse: 401, headers: { 'transfer-encoding': 'chunked' } }),
    500,
  ],
  ['a refusal with a line feed', () => ({ refuse: 401, headers: { 'X-A': 'a\nb' } }), 500],
  ['a refusal with a numeric body', () => ({ refuse: 401, body: 5 }), 500],
  ['a refusal with bytes as body', () => ({ refuse: 401, body: new Uint8Array(1) }), 500],
  ['a refusal with a Proxy as headers', () => ({ refuse: 401, headers: recursiveProxy() }), 500],
  ['a refusal with a getter', () => Object.defineProperty({}, 'refuse', { get: thrower }), 500],
  ['a refusal of 200', () => ({ refuse: 200 }), 500],
  ['refuse of a text', () => refuse('no' as never), 500],
  [
    'an Error for the client',
    () => {
      throw Object.assign(new Error('no'), { expose: true, status: 418, headers: { 'X-A': 'b' } });
    },
    418,
  ],
  [
    'an Error for the client with Content-Length',
    () => {
      throw Object.assign(new Error('no'), {
        expose: true,
        status: 418,
        headers: { 'Content-Length': '1' },
      });
    },
    500,
  ],
];

describe('N1 a refusal', () => {
  const start = async (answer: () => unknown, report: (error: unknown) => void) => {
    const response = await upgradeOnDeno(
      new Request('http://example.org/', {
        headers: {
          Connection: 'Upgrade',
          Host: 'example.org',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        },
      }),
      { authenticate: answer as never, report },
      () => expect.unreachable(),
    );
    return response.status;
  };

  it.each([...REFUSALS, ...CASES.map(([name, make]) => [name, make, 500] as const)])(
    'of upgrade on Deno has the status of a server: %s',
    async (_, answer, status) => {
      const reports: unknown[] = [];
      expect(await start(answer, (error) => void reports.push(error))).toBe(status);
      expect(reports).toHaveLength(status === 500 ? 1 : 0);
    },
  );

  it.each(Object.entries(SERVERS))('has one status on each server: %s', async (_, begin) => {
    let answer: () => unknown = () => true;
    let reports: unknown[] = [];
    const url = await begin((() => answer()) as Authenticate, (error) => void reports.push(error));
    for (const [name, make, status] of REFUSALS) {
      answer = make;
      reports = [];
      const told = status === 500 ? 1 : 0;
      expect([name, await statusOf(url), reports.length]).toEqual([name, status, told]);
    }
  });
});

describe('N1 refuse', () => {
  it.each([
    [
      'no',
      "refuse: expected a status or a Response, got string; write refuse(401, { body: 'no' })",
    ],
    [true, 'refuse: expected a status or a Response, got boolean'],
    [null, 'refuse: expected a status or a Response, got null'],
    [{ status: 401 }, 'refuse: expected a status or a Response, got Object'],
    [200, 'refuse: status: expected a whole number from 300 to 599, got 200'],
    [401.5, 'refuse: status: expected a whole number from 300 to 599, got 401.5'],
  ])('throws for %j', (status, message) => {
    expect(() => refuse(status as never)).toThrow(message);
  });

  it('is 401 by default', () => {
    expect(refuse()).toEqual({ refuse: 401 });
  });
});
