// Values of the application whose getters, methods or traps throw: the client gets a 500, the error
// is reported once, and nothing is uncaught.
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AdmitOrRefuse, type ServeOptions, serve } from '../src/index.ts';
import { connectRaw, parseAnswer, request, trapLeftovers } from './raw.ts';

trapLeftovers();

function thrower(): never {
  throw new Error('touched');
}

/** An Error whose `name` is a getter that throws. */
function withGetter(name: string): Error {
  return Object.defineProperty(new Error('mine'), name, { get: thrower });
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
  const traps: ProxyHandler<object> = {
    get: () => {
      throw proxy;
    },
    has: () => {
      throw proxy;
    },
    getPrototypeOf: () => {
      throw proxy;
    },
  };
  const proxy: object = new Proxy(new Error('mine'), traps);
  return proxy;
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const FIELDS = ['status', 'expose', 'message', 'headers', 'stack', 'name', 'code', 'cause'];

/** Values that throw when they are read. */
const HOSTILE: readonly (readonly [string, () => unknown])[] = [
  ...FIELDS.map((name) => [`an Error with the getter ${name}`, () => withGetter(name)] as const),
  [
    'an exposed Error with the getter headers',
    () => Object.assign(withGetter('headers'), { expose: true, status: 403 }),
  ],
  [
    'an exposed Error whose message is a Symbol',
    () => Object.assign(new Error('mine'), { expose: true, status: 403, message: Symbol('mine') }),
  ],
  ['a Proxy of an Error', () => new Proxy(new Error('mine'), TRAPS)],
  ['a Proxy of a function', () => new Proxy(() => {}, TRAPS)],
  ['a Proxy that throws itself', recursiveProxy],
  ['a revoked Proxy', revokedProxy],
  ['an Error whose cause is a Proxy', () => new Error('mine', { cause: recursiveProxy() })],
  ['an Error without a prototype', () => Object.setPrototypeOf(new Error('mine'), null)],
];

/** Values that are plain to the library, and throw when they become text. */
const UNPRINTABLE: readonly (readonly [string, () => unknown])[] = [
  ['an object without a prototype', () => Object.create(null)],
  ['a Symbol', () => Symbol('mine')],
  ['an object whose toString throws', () => ({ toString: thrower, toJSON: thrower })],
  [
    'an object whose toStringTag throws',
    () => Object.defineProperty({}, Symbol.toStringTag, { get: thrower }),
  ],
  ['a function whose toString throws', () => Object.assign(() => {}, { toString: thrower })],
];

const VALUES = [...HOSTILE, ...UNPRINTABLE];

/** Refusals that throw when they are read. */
const REFUSALS: readonly (readonly [string, () => unknown])[] = [
  ...['refuse', 'headers', 'body'].map(
    (name) =>
      [
        `a refusal with the getter ${name}`,
        () => Object.defineProperty({ refuse: 403 }, name, { get: thrower }),
      ] as const,
  ),
  [
    'a refusal whose headers have a getter',
    () => ({
      refuse: 403,
      headers: Object.defineProperty({}, 'A', { get: thrower, enumerable: true }),
    }),
  ],
  ['a refusal whose headers are a Proxy', () => ({ refuse: 403, headers: recursiveProxy() })],
  ['a refusal whose status is an object', () => ({ refuse: Object.create(null) })],
];

interface Outcome {
  readonly status: number | undefined;
  readonly reported: unknown[];
  readonly warnings: string[];
}

/** Sends one request. */
async function answerTo(
  options: ServeOptions<AdmitOrRefuse>,
  handler: () => unknown = () => {},
  plain = false,
): Promise<Outcome> {
  const reported: unknown[] = [];
  const warnings: string[] = [];
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation((text) => {
    warnings.push(String(text));
  });
  onTestFinished(() => warn.mockRestore());
  const report = (error: unknown): void => void reported.push(error);
  const server = await serve<AdmitOrRefuse>({ host: '127.0.0.1', report, ...options }, handler);
  onTestFinished(async () => void (await server.close({ timeout: 1 })));
  const client = await connectRaw(Number(new URL(server.url).port));
  onTestFinished(() => void client.stream.destroy());
  client.stream.write(
    plain ? 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' : request({ add: ['Sec-WebSocket-Protocol: a'] }),
  );
  // A connection whose handler fails gets a close frame, and waits for ours.
  await Promise.race([
    client.closed,
    client.until(() => client.received.includes(0x88)).catch(() => {}),
  ]);
  const text = client.received.toString('latin1');
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  return { status: text === '' ? undefined : parseAnswer(text).status, reported, warnings };
}

/** Functions that fail with `make`'s value. */
const WAYS: Readonly<Record<string, (make: () => unknown) => () => unknown>> = {
  throws: (make) => () => {
    throw make();
  },
  'rejects with': (make) => async () => {
    throw make();
  },
};

describe.each(Object.entries(WAYS))('authenticate that %s', (_, way) => {
  it.each(VALUES)('%s refuses with 500', async (__, make) => {
    const { status, reported } = await answerTo({ authenticate: way(make) as () => never });
    expect(status).toBe(500);
    expect(reported).toHaveLength(1);
  });
});

describe.each(['returns', 'resolves with'])('authenticate that %s', (way) => {
  it.each([...VALUES, ...REFUSALS])('%s refuses with 500', async (__, make) => {
    const authenticate = way === 'returns' ? make : async () => make();
    const { status, reported } = await answerTo({ authenticate: authenticate as () => never });
    expect(status).toBe(500);
    expect(reported).toHaveLength(1);
  });
});

const OPTIONS: Readonly<Record<string, (fn: () => unknown) => ServeOptions<AdmitOrRefuse>>> = {
  checkOrigin: (fn) => ({ checkOrigin: fn as () => boolean }),
  clientAddress: (fn) => ({ clientAddress: fn as () => string }),
  subprotocols: (fn) => ({ subprotocols: fn as () => string }),
};

describe.each(Object.entries(OPTIONS))('%s', (name, optionsOf) => {
  const ways: [string, (make: () => unknown) => () => unknown][] = [
    ['throws', WAYS['throws']!],
    ['returns', (make) => make],
  ];
  describe.each(ways)('that %s', (says, way) => {
    it.each(VALUES)('%s refuses', async (__, make) => {
      const { status, reported } = await answerTo(optionsOf(way(make)));
      // A result of `checkOrigin` that is not `true` is the refusal itself.
      const isRefusal = name === 'checkOrigin' && says === 'returns';
      expect(status).toBe(isRefusal ? 403 : 500);
      expect(reported).toHaveLength(1);
    });
  });

  it('that rejects with a Proxy refuses with 500', async () => {
    const { status, reported } = await answerTo(optionsOf(WAYS['rejects with']!(recursiveProxy)));
    expect({ status, count: reported.length, name }).toEqual({ status: 500, count: 1, name });
  });
});

describe.each(Object.entries(WAYS))('a function that %s', (_, way) => {
  it.each(VALUES)('%s as `error` gets the default answer', async (__, make) => {
    const options = { error: way(make) as () => undefined, authenticate: () => false };
    const { status, reported } = await answerTo(options);
    expect(status).toBe(401);
    expect(reported).toHaveLength(1);
  });

  it.each(VALUES)('%s as the handler closes with 1011', async (__, make) => {
    const { status, reported } = await answerTo({}, way(make));
    expect(status).toBe(101);
    expect(reported).toHaveLength(1);
  });

  it.each(VALUES)('%s as `request` answers 500', async (__, make) => {
    const { status, reported } = await answerTo({ request: way(make) }, undefined, true);
    expect(status).toBe(500);
    expect(reported).toHaveLength(1);
  });
});

describe('the default report', () => {
  // It prints one warning a second for each kind of error.
  let shift = 0;
  const now = performance.now.bind(performance);

  it.each(VALUES)('prints %s', async (__, make) => {
    shift += 2_000;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + shift);
    onTestFinished(() => clock.mockRestore());
    const authenticate = WAYS['throws']!(make) as () => never;
    const { status, warnings } = await answerTo({ authenticate, report: undefined });
    expect(status).toBe(500);
    // An earlier test of this worker may print its last warning now.
    expect(warnings).toContainEqual(expect.stringMatching(/./));
  });
});

describe('a report that reads the error', () => {
  it.each(HOSTILE)('%s does not end the process', async (__, make) => {
    const report = (error: unknown): void => {
      const { stack, message, name, cause } = error as Error;
      void `${stack}${message}${name}${String(cause)}`;
    };
    const { status } = await answerTo({
      authenticate: WAYS['throws']!(make) as () => never,
      report,
    });
    expect(status).toBe(500);
  });
});
