// Errors of the caller's functions whose getters or traps throw: the dial rejects, and nothing is
// uncaught.
import { connect } from 'node:net';
import { socketTransport } from '@ws/node-io';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CookieJar,
  type ReconnectingOptions,
  reconnecting,
  type Transport,
} from '../src/index.ts';
import { certificate, type RawServer, rawServer, rawTlsServer, says } from './servers.ts';

const uncaught: unknown[] = [];
const onUncaught = (error: unknown): void => void uncaught.push(error);
let plain: RawServer;
let secure: RawServer;
let ca: string;

beforeEach(async () => {
  process.on('unhandledRejection', onUncaught).on('uncaughtException', onUncaught);
  const accepts = says((request) => request.ok('Set-Cookie: a=b\r\n'));
  plain = await rawServer(accepts);
  secure = await rawTlsServer(accepts);
  ca = (await certificate()).cert;
});

afterEach(() => {
  process.off('unhandledRejection', onUncaught).off('uncaughtException', onUncaught);
});

function thrower(): never {
  throw new Error('touched');
}

function withGetter(name: string): Error {
  return Object.defineProperty(new Error('mine'), name, { get: thrower });
}

function proxyThatThrowsItself(): object {
  const touched = (): never => {
    throw proxy;
  };
  const proxy: object = new Proxy(new Error('mine'), { get: touched, getPrototypeOf: touched });
  return proxy;
}

const VALUES: readonly (readonly [string, () => unknown])[] = [
  ...['stack', 'name', 'message', 'code', 'cause', 'status'].map(
    (name) => [`an Error with the getter ${name}`, () => withGetter(name)] as const,
  ),
  ['a Proxy that throws itself', proxyThatThrowsItself],
  ['an Error without a prototype', () => Object.setPrototypeOf(new Error('mine'), null)],
  ['an object without a prototype', () => Object.create(null)],
  ['a Symbol', () => Symbol('mine')],
];

type Fn = () => never;

const jar = (functions: Partial<CookieJar>): ReconnectingOptions => ({
  jar: { getCookieString: () => '', setCookie: () => {}, ...functions },
});

/** A Transport whose function `name` is `fn`. */
function transport(name: 'start' | 'write', fn: Fn): Transport {
  const inner = socketTransport(connect(plain.port, '127.0.0.1'));
  return new Proxy(inner, {
    get(target, key) {
      if (key === name) return fn;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const OPTIONS: Readonly<Record<string, (fn: Fn) => ReconnectingOptions>> = {
  netDial: (netDial) => ({ netDial }),
  netDialTLS: (netDialTLS) => ({ netDialTLS }),
  proxy: (proxy) => ({ proxy }),
  headers: (headers) => ({ headers }),
  retry: (retry) => ({ retry, netDial: thrower }),
  'jar.getCookieString': (getCookieString) => jar({ getCookieString }),
  'jar.setCookie': (setCookie) => jar({ setCookie }),
  'tls.checkServerIdentity': (checkServerIdentity) => ({ tls: { ca, checkServerIdentity } }),
  lookup: (lookup) => ({ tls: { ca }, lookup }),
  'tls.lookup': (lookup) => ({ tls: { ca, lookup } }),
  'start of a Transport': (fn) => ({ netDial: () => transport('start', fn) }),
  'write of a Transport': (fn) => ({ netDial: () => transport('write', fn) }),
};

const SECURE = new Set(['lookup', 'netDialTLS', 'tls.checkServerIdentity', 'tls.lookup']);

/** Dials once, and resolves when the dial has rejected. */
async function reject(name: string, options: ReconnectingOptions): Promise<void> {
  const url = SECURE.has(name) ? secure.url.replace('127.0.0.1', 'localhost') : plain.url;
  const dials = reconnecting(url, { retry: () => false, ...options })[Symbol.asyncIterator]();
  // `expect` would read the error.
  const rejected = await dials.next().then(
    () => false,
    () => true,
  );
  expect(rejected).toBe(true);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(uncaught.splice(0)).toHaveLength(0);
}

describe.each(Object.entries(OPTIONS))('%s', (name, optionsOf) => {
  it.each(VALUES)('that throws %s rejects', async (_, make) => {
    const fn = (): never => {
      throw make();
    };
    await reject(name, optionsOf(fn));
  });
});

describe.each(['headers', 'proxy', 'jar.getCookieString', 'jar.setCookie'])(
  'reconnecting, whose function %s',
  (name) => {
    it.each([
      ...VALUES,
      [
        'a TypeError with the getter cause',
        () => Object.defineProperty(new TypeError('mine'), 'cause', { get: thrower }),
      ],
      [
        'a Proxy that shows no properties',
        () => new Proxy(new TypeError('mine'), { getOwnPropertyDescriptor: thrower }),
      ],
    ] as const)('throws %s once, dials again', async (_, make) => {
      let failed = false;
      const fn = (): never => {
        if (failed)
          return (
            name === 'jar.getCookieString' ? '' : name === 'headers' ? {} : undefined
          ) as never;
        failed = true;
        throw make();
      };
      const dials = reconnecting(plain.url, { minDelay: 1, maxDelay: 1, ...OPTIONS[name]!(fn) });
      for await (const conn of dials) {
        conn.terminate();
        break;
      }
      expect(failed).toBe(true);
    });
  },
);

describe('tls.checkServerIdentity', () => {
  it.each(VALUES)('that returns %s rejects', async (_, make) => {
    const checkServerIdentity = (): Error => make() as Error;
    await reject('tls.checkServerIdentity', { tls: { ca, checkServerIdentity } });
  });
});
