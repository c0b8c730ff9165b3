// Errors of the functions of a dial are retried, as those of the network are.
import { createContext, runInContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type FreshURL,
  ReconnectingConn,
  type ReconnectingOptions,
  TransportError,
} from '../../src/index.ts';
import { accepts, answers, connected, fast, iterate } from './iterating.ts';

/** A dial that calls `fails` in one of its functions. */
interface Case {
  readonly url?: (url: string, fails: () => void) => FreshURL;
  readonly options?: (fails: () => void) => ReconnectingOptions;
}

const CASES: Readonly<Record<string, Case>> = {
  url: {
    url: (url, fails) => () => {
      fails();
      return url;
    },
  },
  headers: {
    options: (fails) => ({
      headers: () => {
        fails();
        return {};
      },
    }),
  },
  'async headers': {
    options: (fails) => ({
      headers: async () => {
        await Promise.resolve();
        fails();
        return {};
      },
    }),
  },
  proxy: { options: (fails) => ({ proxy: () => void fails() }) },
  'async proxy': { options: (fails) => ({ proxy: async () => void fails() }) },
  'jar.getCookieString': {
    options: (fails) => ({
      jar: {
        getCookieString: () => {
          fails();
          return '';
        },
        setCookie: () => {},
      },
    }),
  },
  'jar.setCookie': {
    options: (fails) => ({ jar: { getCookieString: () => '', setCookie: async () => fails() } }),
  },
};

const { other } = runInContext(
  'globalThis.other = { TypeError, Error }; globalThis',
  createContext({}),
) as { other: { TypeError: typeof TypeError; Error: typeof Error } };

const PASSING: readonly (readonly [string, unknown])[] = [
  ['an Error', new Error('no token')],
  ['a failed fetch', new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') })],
  ['a RangeError', new RangeError('503')],
  ['an Error of another realm', new other.Error('no token')],
  [
    'a failed fetch of another realm',
    new other.TypeError('fetch failed', { cause: new other.Error('ECONNRESET') }),
  ],
  ['an AbortError', new DOMException('aborted', 'AbortError')],
  ['a TransportError of another dial', new TransportError('gone')],
  ['a string', 'no token'],
  ['undefined', undefined],
  ['an object without a prototype', Object.create(null)],
];

const PROGRAMMING: readonly (readonly [string, Error])[] = [
  ['TypeError', new TypeError('x is not a function')],
  ['ReferenceError', new ReferenceError('x')],
  ['SyntaxError', new SyntaxError('x')],
  ['TypeError of another realm', new other.TypeError('x is not a function')],
];

/** Throws once. */
function once(error: unknown): () => void {
  let failed = false;
  return () => {
    if (failed) return;
    failed = true;
    throw error;
  };
}

/** A server that sets a cookie. */
const site = () => answers((socket, request) => socket.write(request.ok('Set-Cookie: a=b\r\n')));

describe.each(Object.entries(CASES))('an error of %s', (_, { url, options }) => {
  it.each(PASSING)('is retried: %s', async (_, error) => {
    const server = await site();
    const fails = once(error);
    const errors: unknown[] = [];
    const to = url?.(server.url, fails) ?? server.url;
    const retry = (failure: unknown): void => void errors.push(failure);
    await connected(iterate(to, { ...options?.(fails), retry }));
    expect(errors).toHaveLength(1);
    if (typeof error === 'object') expect(errors[0]).toBe(error);
    else expect((errors[0] as Error).cause).toBe(error);
  });

  it.each(PROGRAMMING)('ends the iteration, when it is a %s', async (_, error) => {
    const server = await site();
    const fails = (): void => {
      throw error;
    };
    const to = url?.(server.url, fails) ?? server.url;
    await expect(iterate(to, { ...options?.(fails) }).next()).rejects.toBe(error);
    await connected(
      iterate(url?.(server.url, once(error)) ?? server.url, {
        ...options?.(once(error)),
        retry: () => true,
      }),
    );
  });

  it('ends the iteration, when retry says so', async () => {
    const server = await site();
    const error = new Error('no token');
    const fails = once(error);
    const to = url?.(server.url, fails) ?? server.url;
    const iterator = iterate(to, { ...options?.(fails), retry: () => false });
    await expect(iterator.next()).rejects.toBe(error);
  });

  it('is retried by a ReconnectingConn, which was connected before', async () => {
    const server = await site();
    const queue: unknown[] = [undefined, new Error('no token'), new Error('no token')];
    const fails = (): void => {
      const error = queue.shift();
      if (error !== undefined) throw error;
    };
    const to = url?.(server.url, fails) ?? server.url;
    const live = new ReconnectingConn(to, { ...fast, ...options?.(fails), report: () => {} });
    onTestFinished(() => void live.close());
    void live.receive(() => {}).catch(() => {});
    let opened = 0;
    await new Promise<void>((resolve) => {
      live.on('open', () => {
        if (++opened === 2) resolve();
        else server.sockets.at(-1)!.destroy();
      });
    });
    expect(queue).toEqual([]);
  });
});

it('the loop of the page, whose token service was away, connects', async () => {
  const server = await answers(accepts);
  const fetchFails = once(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }));
  const tries: number[] = [];
  const iterator = iterate(server.url, {
    headers: async () => {
      fetchFails();
      return { Authorization: 'Bearer x' };
    },
    retry: (_, next) => void tries.push(next.tries),
  });
  await connected(iterator);
  expect(tries).toEqual([1]);
});
