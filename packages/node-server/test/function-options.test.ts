import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AdmitOrRefuse, type ServeOptions, serve } from '../src/index.ts';
import { upgraderOptionNames } from '../src/options.ts';
import { serveOptionNames } from '../src/serve-options.ts';
import { connectRaw, parseAnswer, request, trapLeftovers } from './raw.ts';

trapLeftovers();

type Fn = () => unknown;

/** One function of the application, and what a client must see when it misbehaves. */
interface Case {
  readonly options: (fn: Fn) => ServeOptions<AdmitOrRefuse>;
  /** The function is the handler. */
  readonly isHandler?: boolean;
  /** The request is not an upgrade. */
  readonly plain?: boolean;
  /** Status when the function throws or rejects. */
  readonly fails: number;
  /** Status when its promise never settles; undefined when the client waits for ever. */
  readonly hangs: number | undefined;
  /** Then this answer comes after `handshakeTimeout`. */
  readonly waits?: boolean;
  /** Status when it returns a value that it must not return; undefined as above. */
  readonly nonsense: number | undefined;
  /** The error of a wrong value names the option. */
  readonly names?: string;
}

/** An empty object has no headers. In a list it is no header. */
function inList(result: unknown): Record<string, string> {
  const isObject = typeof result === 'object' && !('then' in Object(result));
  return (isObject ? [result] : result) as Record<string, string>;
}

// biome-ignore format: a table
const CASES: Readonly<Record<string, Case>> = {
  subprotocols: { options: (fn) => ({ subprotocols: fn as () => string }), fails: 500, hangs: 500, nonsense: 500, names: 'subprotocols' },
  clientAddress: {
    options: (fn) => ({ clientAddress: fn as () => string, limits: [{ by: 'address', connections: 1 }] }),
    fails: 500,
    hangs: 500,
    nonsense: 500,
    names: 'clientAddress',
  },
  checkOrigin: { options: (fn) => ({ checkOrigin: fn as () => boolean }), fails: 500, hangs: 503, nonsense: 403, names: 'checkOrigin' },
  authenticate: { options: (fn) => ({ authenticate: fn as () => never }), fails: 500, hangs: 503, nonsense: 500, names: 'authenticate' },
  error: { options: (fn) => ({ error: fn as () => undefined, authenticate: () => false }), fails: 401, hangs: 401, waits: true, nonsense: 401 },
  report: {
    options: (fn) => ({
      report: fn,
      checkOrigin: () => {
        throw new Error('for the report');
      },
    }),
    fails: 500,
    hangs: 500,
    nonsense: 500,
  },
  request: { options: (fn) => ({ request: fn }), plain: true, fails: 500, hangs: undefined, nonsense: undefined },
  headers: { options: (fn) => ({ headers: () => inList(fn()) }), fails: 500, hangs: 503, nonsense: 500 },
  handler: { options: () => ({}), isHandler: true, fails: 101, hangs: 101, nonsense: 101 },
};

const END_OF_HEAD = '\r\n\r\n';
const CLOSE_1011 = Buffer.from([0x88, 2, 0x03, 0xf3]);

const mine = (): Error => new Error('mine');

const FAILURES: Readonly<Record<string, Fn>> = {
  'throws an Error': () => {
    throw mine();
  },
  'throws undefined': () => {
    throw undefined;
  },
  'throws an object without a prototype': () => {
    throw Object.create(null);
  },
  'returns a promise that rejects': () => Promise.reject(mine()),
  'returns a promise that rejects with undefined': () => Promise.reject(undefined),
  'returns a promise that rejects later': () =>
    new Promise((_, reject) => setTimeout(reject, 5, mine())),
  'returns a thenable that throws': () => ({
    // oxlint-disable-next-line unicorn/no-thenable -- the case
    then() {
      throw mine();
    },
  }),
};

const HANGS: Readonly<Record<string, Fn>> = {
  'returns a promise that never settles': () => new Promise(() => {}),
  // oxlint-disable-next-line unicorn/no-thenable -- the case
  'returns a thenable that never settles': () => ({ then() {} }),
};

const NONSENSE: Readonly<Record<string, Fn>> = {
  'returns a number': () => 5,
  'returns an object': () => ({}),
  'returns an object without a prototype': () => Object.create(null),
  'returns a symbol': () => Symbol('mine'),
  'returns a function': () => () => {},
};

/** Options that take no function, or a function that is not called for a request. */
const OTHERS = new Set(
  [
    'port host socketPath replaceStale listen tls http2 server allowedOrigins allowedHosts sameHost handshakeTimeout',
    'maxHandshakes handshakes maxConnections limits trustProxy close unmatched readLimit',
    'readAhead idleReadTimeout highWaterMark maxBufferedAmount',
    'closeTimeout heartbeat writeBufferSize fragmentationThreshold',
    'writeBufferPool compression readBuffer rate maxLifetime',
    'maxTotalBufferedAmount',
  ]
    .join(' ')
    .split(' '),
);

/** Sends one request to a server with this function. */
async function run(
  { options, plain = false, isHandler = false, waits = false }: Case,
  fn: Fn,
  expected: number | undefined,
): Promise<{ status: number | undefined; reported: unknown[]; frame: string }> {
  const reported: unknown[] = [];
  const hangs = Object.values(HANGS).includes(fn);
  // Short only where it ends the case: a busy machine is slow to send a request.
  const isShort = expected === 503 || expected === undefined || (hangs && waits);
  const server = await serve<AdmitOrRefuse>(
    {
      host: '127.0.0.1',
      handshakeTimeout: isShort ? 200 : 30_000,
      report: (error) => reported.push(error),
      ...options(fn),
    },
    isHandler ? fn : () => {},
  );
  onTestFinished(async () => void (await server.close({ timeout: 1 })));
  const client = await connectRaw(Number(new URL(server.url).port));
  onTestFinished(() => void client.stream.destroy());
  client.stream.write(
    plain ? 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' : request({ add: ['Sec-WebSocket-Protocol: a'] }),
  );
  if (expected === undefined) await Promise.race([client.closed, wait(150)]);
  else if (expected !== 101) await client.closed;
  else {
    await client.until(() => client.received.includes(END_OF_HEAD));
    if (Object.values(FAILURES).includes(fn)) {
      await client.until(() => client.received.includes(CLOSE_1011));
    }
  }
  const text = client.received.toString('latin1');
  const end = text.indexOf(END_OF_HEAD) + END_OF_HEAD.length;
  const status = text === '' ? undefined : parseAnswer(text).status;
  return { status, reported, frame: Buffer.from(text.slice(end), 'latin1').toString('hex') };
}

it('the cases cover every option', () => {
  const known = [...upgraderOptionNames, ...serveOptionNames].filter((name) => !OTHERS.has(name));
  expect(new Set([...known, 'handler'])).toEqual(new Set(Object.keys(CASES)));
});

describe.each(Object.entries(CASES))('%s', (name, kind) => {
  it.each(Object.entries(FAILURES))('%s', async (_, fn) => {
    const isSync = kind.names !== undefined && name !== 'checkOrigin';
    const { status, reported, frame } = await run(kind, fn, kind.fails);
    expect(status).toBe(kind.fails);
    // The default report has no list.
    if (name !== 'report') expect(reported).toHaveLength(1);
    if (kind.fails === 101) expect(frame).toBe(CLOSE_1011.toString('hex'));
    if (isSync && reported[0] instanceof TypeError) {
      expect(reported[0].message).toMatch(new RegExp(`^${name}: .*must be synchronous`));
    }
  });

  it.each(Object.entries(HANGS))('%s', async (_, fn) => {
    const { status, reported } = await run(kind, fn, kind.hangs);
    expect(status).toBe(kind.hangs);
    if (kind.hangs === 500 && kind.names !== undefined) {
      expect(String(reported[0])).toMatch(
        new RegExp(`^TypeError: ${name}: expected .*synchronous`),
      );
    }
  });

  it.each(Object.entries(NONSENSE))('%s', async (_, fn) => {
    const { status, reported } = await run(kind, fn, kind.nonsense);
    expect(status).toBe(kind.nonsense);
    if (kind.names !== undefined) {
      expect(String(reported[0])).toMatch(
        new RegExp(`^TypeError: ${kind.names}: expected .*, got `),
      );
    }
  });
});
