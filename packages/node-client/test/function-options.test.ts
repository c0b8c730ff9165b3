// Every function that a caller gives, with a function that throws, rejects, never settles, and
// returns nonsense: the dial ends with an error that names the option, and nothing is unhandled.
import { connect } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import {
  type CompressionSettings,
  type SocketTransportOptions,
  socketTransport,
} from '@ws/node-io';
import {
  CertificateAuthority,
  type FunctionsOf,
  mine,
  retryUntilTimer,
  type SelfSigned,
  WRONG_FUNCTIONS,
  type Wrong,
  type WrongFunction,
} from '@ws/tests';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type CookieJar,
  Dialer,
  type DialerOptions,
  dial,
  type ReconnectingOptions,
  reconnecting,
  TimeoutError,
  type Transport,
  TransportError,
} from '../src/index.ts';
import { type RawServer, rawServer, rawTlsServer, says } from './servers.ts';

type TlsFunction = FunctionsOf<ConnectionOptions>;

/** A new function option needs a row here. Tests of @ws/conn cover `writeBufferPool` and `report`. */
type Option =
  | FunctionsOf<ReconnectingOptions & SocketTransportOptions & CompressionSettings>
  | `jar.${FunctionsOf<CookieJar>}`
  | `tls.${TlsFunction}`
  | `proxyTls.${TlsFunction}`;

/** Something that `toMatchObject` compares with the error, or `opens`. */
type Outcome = object | 'opens';

interface Row {
  /** What is dialed. */
  readonly url: () => string;
  readonly options: (wrong: WrongFunction) => object;
  readonly outcomes: Readonly<Record<Wrong, Outcome>>;
}

let plain: RawServer;
let secure: RawServer;
let refusing: RawServer;
let psk: RawServer;
let ca: string;
let issued: SelfSigned;
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);

/** Its body ends at once. Without an end, a dial would wait for it for 500 ms. */
const REFUSED = 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n';

beforeAll(async () => {
  const authority = await CertificateAuthority.make('ours');
  ca = authority.cert;
  issued = await authority.issue({ names: ['localhost'], addresses: ['127.0.0.1'] });
});

beforeEach(async () => {
  unhandled.length = 0;
  process.on('unhandledRejection', onUnhandled);
  process.on('uncaughtException', onUnhandled);
  const accepts = says((request) =>
    request.text.startsWith('CONNECT') ? REFUSED : request.ok('Set-Cookie: a=b\r\n'),
  );
  plain = await rawServer(accepts);
  secure = await rawTlsServer(accepts, issued);
  psk = await rawTlsServer(accepts, { ...issued, ciphers: 'PSK', pskCallback: () => null });
  refusing = await rawServer(says(REFUSED));
});

afterEach(() => {
  process.off('unhandledRejection', onUnhandled);
  process.off('uncaughtException', onUnhandled);
});

const ws = (): string => plain.url;
const wss = (): string => secure.url.replace('127.0.0.1', 'localhost');

const timeout = (stage: string): object => ({
  constructor: TimeoutError,
  message: expect.stringContaining(stage),
});
const typeError = (message: string): object => ({
  name: 'TypeError',
  message: expect.stringContaining(message),
});
const transport = (cause: object): object => ({ constructor: TransportError, cause });

/** The outcomes of an option that may be asynchronous: its own error passes as it is. */
const asynchronous = (stage: string, nonsense: Outcome): Row['outcomes'] => ({
  throws: mine,
  rejects: mine,
  'never settles': timeout(stage),
  'returns nonsense': nonsense,
});

const dialing = (name: string): Row['outcomes'] => ({
  throws: transport(mine),
  rejects: transport(mine),
  'never settles': timeout('while connecting'),
  'returns nonsense': typeError(`${name}: expected a Duplex or a Transport, got number`),
});

/** The outcomes of a function that Node calls: its error is the cause of a TransportError. */
const synchronous = (name: string): Row['outcomes'] => {
  const promise = transport(typeError(`${name}: expected`));
  return {
    throws: transport(mine),
    rejects: promise,
    'never settles': promise,
    'returns nonsense': transport(typeError(`got number`)),
  };
};

const ignored: Row['outcomes'] = {
  throws: 'opens',
  rejects: 'opens',
  'never settles': 'opens',
  'returns nonsense': 'opens',
};

const lookup = (stage: string): Row['outcomes'] => ({
  throws: transport(mine),
  rejects: transport(mine),
  // A lookup answers through its callback; its result is ignored.
  'never settles': timeout(stage),
  'returns nonsense': timeout(stage),
});

const PSK = { ciphers: 'PSK', maxVersion: 'TLSv1.2' };
const viaProxy = (wrong: object): object => ({
  proxy: new URL(wss().replace('wss:', 'https:')),
  proxyTls: wrong,
});
/** The https proxy refuses every tunnel. */
const noTunnel: Row['outcomes'] = {
  throws: { status: 503 },
  rejects: { status: 503 },
  'never settles': { status: 503 },
  'returns nonsense': { status: 503 },
};

// biome-ignore format: a table
const ROWS: Readonly<Record<Option, Row>> = {
  netDial: { url: ws, options: (netDial) => ({ netDial }), outcomes: dialing('netDial') },
  netDialTLS: { url: wss, options: (netDialTLS) => ({ netDialTLS }), outcomes: dialing('netDialTLS') },
  proxy: {
    url: ws,
    options: (proxy) => ({ proxy }),
    outcomes: asynchronous(
      'waiting for the proxy function',
      typeError('proxy: expected a URL or undefined from the function, got number'),
    ),
  },
  headers: {
    url: ws,
    options: (headers) => ({ headers }),
    outcomes: asynchronous(
      'waiting for the headers function',
      typeError('headers: expected an object or pairs from the function, got number'),
    ),
  },
  retry: {
    url: () => refusing.url,
    options: (retry) => ({ retry }),
    outcomes: {
      throws: mine,
      rejects: typeError('retry: expected true, false or undefined, got a promise'),
      'never settles': typeError('retry: expected true, false or undefined, got a promise'),
      'returns nonsense': typeError('retry: expected true, false or undefined, got number'),
    },
  },
  // A connection calls it, not a dial.
  report: { url: ws, options: (report) => ({ report }), outcomes: ignored },
  'jar.getCookieString': {
    url: ws,
    options: (getCookieString) => ({ jar: { getCookieString, setCookie: () => {} } }),
    outcomes: asynchronous(
      'waiting for the cookie jar',
      typeError('jar: expected a string from getCookieString, got number'),
    ),
  },
  'jar.setCookie': {
    url: ws,
    options: (setCookie) => ({ jar: { getCookieString: () => '', setCookie } }),
    outcomes: asynchronous('waiting for the cookie jar', 'opens'),
  },
  'tls.checkServerIdentity': {
    url: wss,
    options: (checkServerIdentity) => ({ tls: { ca, checkServerIdentity } }),
    outcomes: synchronous('tls.checkServerIdentity'),
  },
  'tls.pskCallback': { url: () => psk.url, options: (pskCallback) => ({ tls: { ...PSK, pskCallback } }), outcomes: synchronous('tls.pskCallback') },
  'tls.lookup': { url: wss, options: (given) => ({ tls: { ca, lookup: given } }), outcomes: lookup('while connecting') },
  lookup: { url: () => ws().replace('127.0.0.1', 'localhost'), options: (given) => ({ lookup: given }), outcomes: lookup('while connecting') },
  // Node calls these two on servers only.
  'tls.SNICallback': { url: wss, options: (SNICallback) => ({ tls: { ca, SNICallback } }), outcomes: ignored },
  'tls.ALPNCallback': { url: wss, options: (ALPNCallback) => ({ tls: { ca, ALPNCallback } }), outcomes: ignored },
  'proxyTls.checkServerIdentity': {
    url: () => 'ws://example.org/',
    options: (checkServerIdentity) => viaProxy({ ca, checkServerIdentity }),
    outcomes: synchronous('proxyTls.checkServerIdentity'),
  },
  'proxyTls.pskCallback': {
    url: () => 'ws://example.org/',
    options: (pskCallback) => ({
      ...viaProxy({ ...PSK, pskCallback }),
      proxy: new URL(psk.url.replace('wss:', 'https:')),
    }),
    outcomes: synchronous('proxyTls.pskCallback'),
  },
  'proxyTls.lookup': { url: () => 'ws://example.org/', options: (given) => viaProxy({ ca, lookup: given }), outcomes: lookup('connecting to the proxy') },
  'proxyTls.SNICallback': { url: () => 'ws://example.org/', options: (SNICallback) => viaProxy({ ca, SNICallback }), outcomes: noTunnel },
  'proxyTls.ALPNCallback': { url: () => 'ws://example.org/', options: (ALPNCallback) => viaProxy({ ca, ALPNCallback }), outcomes: noTunnel },
};

/** Dials once, and returns the error or `opens`. */
async function outcome(url: string, options: object, handshakeTimeout: number): Promise<unknown> {
  const all = { handshakeTimeout, retry: () => false, ...options } as ReconnectingOptions;
  const iterator = reconnecting(url, all)[Symbol.asyncIterator]();
  try {
    const { value } = await iterator.next();
    value.terminate();
    await value.closed;
    return 'opens';
  } catch (error) {
    return error;
  } finally {
    await iterator.return?.();
    // Late errors.
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }
}

async function check(url: string, options: object, expected: Outcome): Promise<void> {
  const timesOut = expected.constructor === TimeoutError;
  const found = await outcome(url, options, timesOut ? 100 : 10_000);
  if (expected === 'opens' || expected === mine) expect(found).toBe(expected);
  else expect(found).toMatchObject(expected);
  expect(unhandled).toEqual([]);
}

const behaviours = Object.keys(WRONG_FUNCTIONS) as Wrong[];

describe.each(Object.entries(ROWS))('the option %s', (_, { url, options, outcomes }) => {
  it.each(behaviours)('that %s has a clear outcome', async (behaviour) => {
    await check(url(), options(WRONG_FUNCTIONS[behaviour]), outcomes[behaviour]);
  });
});

/** The outcome of each function of a Transport that is wrong in each way. */
const TRANSPORT: Readonly<Record<FunctionsOf<Transport>, Readonly<Record<Wrong, Outcome>>>> = {
  start: {
    throws: transport(mine),
    rejects: transport(mine),
    'never settles': timeout('waiting for the answer'),
    'returns nonsense': timeout('waiting for the answer'),
  },
  write: {
    throws: transport(mine),
    rejects: transport(mine),
    'never settles': timeout('waiting for the answer'),
    'returns nonsense': timeout('waiting for the answer'),
  },
  resume: {
    throws: transport(mine),
    rejects: transport(mine),
    'never settles': 'opens',
    'returns nonsense': 'opens',
  },
  // A handshake does not need the others.
  pause: ignored,
  end: ignored,
  destroy: ignored,
  cork: ignored,
  uncork: ignored,
};

describe.each(Object.entries(TRANSPORT))('the Transport of netDial', (name, outcomes) => {
  it.each(behaviours)(`whose ${name} %s has a clear outcome`, async (behaviour) => {
    const socket = connect(plain.port, '127.0.0.1');
    const wrong = WRONG_FUNCTIONS[behaviour];
    const inner = socketTransport(socket);
    const netDial = (): Transport =>
      new Proxy(inner, {
        get(target, key) {
          if (key === name) return wrong;
          const value: unknown = Reflect.get(target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    await check(ws(), { netDial }, outcomes[behaviour]);
    socket.destroy();
  });

  it(`without ${name} is a TypeError, unless it is optional`, async () => {
    const socket = connect(plain.port, '127.0.0.1');
    const inner = socketTransport(socket) as unknown as Record<string, unknown>;
    const netDial = (): Transport =>
      new Proxy(inner, {
        get: (target, key) => {
          const value = key === name ? undefined : Reflect.get(target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }) as unknown as Transport;
    const optional = ['cork', 'uncork'].includes(name);
    await check(ws(), { netDial }, optional ? 'opens' : typeError('netDial: '));
    socket.destroy();
  });
});

describe('an option function that throws at once', () => {
  const fails = (): never => {
    throw new Error('mine');
  };
  const jar = { getCookieString: fails, setCookie: fails };

  it.each<[string, string, DialerOptions]>([
    ['proxy', 'ws://127.0.0.1:1/', { proxy: fails }],
    ['netDial', 'ws://127.0.0.1:1/', { netDial: fails }],
    ['netDialTLS', 'wss://127.0.0.1:1/', { netDialTLS: fails }],
    ['jar.getCookieString', 'ws://127.0.0.1:1/', { jar }],
  ])('lets timers run when a loop dials again and again: %s', async (_, url, options) => {
    const dialer = new Dialer(options);
    expect(String(await retryUntilTimer(() => dialer.dial(url)))).toMatch('mine');
    expect(String(await retryUntilTimer(() => dial(url, options)))).toMatch('mine');
  });
});
