import { AsyncLocalStorage } from 'node:async_hooks';
import { connPair, JSONError } from '@ws/conn';
import { serve } from '@ws/node-server';
import { contract, event, method, RpcError } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  call,
  chat,
  clientHandlers,
  quietly,
  serverHandlers,
  setUpRaw,
  throws,
  until,
} from './pairs.ts';

/** A promise of a careless library. */
function badThenable(): unknown {
  // oxlint-disable-next-line unicorn/no-thenable -- that is the test
  return Object.defineProperty({}, 'then', {
    get() {
      throw new Error('secret');
    },
  });
}

/** `instanceof` throws for it. */
function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe('a schema', () => {
  const odd = (validate: (value: unknown) => unknown) => ({
    '~standard': { version: 1, vendor: 'odd', validate } as never,
  });
  const failures: [string, (value: unknown) => unknown][] = [
    ['throws', () => throws(new Error('secret'))()],
    ['rejects', () => Promise.reject(new Error('secret'))],
    ['returns nothing', () => undefined],
    ['returns issues that are none', () => ({ issues: 'secret' })],
    [
      'has a getter that throws',
      () => ({
        get issues() {
          throw new Error('secret');
        },
      }),
    ],
    ['returns a thenable that throws', badThenable],
  ];

  it.each(failures)('of an input that %s is -32603, without a word', async (_, validate) => {
    const any = contract({
      server: { a: method(odd(validate), z.any()), b: event(odd(validate)) },
    });
    const reports: unknown[] = [];
    const [client, server] = connPair({ report: (error) => void reports.push(error) });
    void any.serve({ a: () => 1, b: () => 1 })(server);
    await client.send('{"jsonrpc":"2.0","method":"b","params":[]}');
    await client.send(call(1, 'a', [1]));
    expect((await client.readMessage()).text()).toBe(
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error"}}',
    );
    expect(reports).toHaveLength(2);
  });

  it.each(failures)('of an answer that %s is an error at each end', async (_, validate) => {
    const any = contract({ server: { a: method(z.any(), odd(validate)) } });
    const loose = contract({ server: { a: method(z.any(), z.any()) } });
    const [client, server] = connPair({ report: () => {} });
    void any.serve({ a: () => 1 as never })(server);
    await expect(loose.connect(client, {}).a(1)).rejects.toMatchObject({ code: -32_603 });
    const [client2, server2] = connPair();
    void loose.serve({ a: () => 1 })(server2);
    await expect(any.connect(client2, {}).a(1)).rejects.toBeInstanceOf(JSONError);
    expect([server.state, client2.state]).toEqual(['open', 'open']);
  });
});

describe('a handler', () => {
  it.each([
    ['a thenable that throws', badThenable],
    ['undefined as an error', () => Promise.reject(undefined)],
    ['a revoked Proxy', throws(revokedProxy())],
    ['a rejection with a revoked Proxy', () => Promise.reject(revokedProxy())],
    [
      'an error whose text throws',
      () => {
        throw {
          get message() {
            throw new Error('x');
          },
        };
      },
    ],
    ['an RpcError with data that JSON does not have', throws(new RpcError(1, 'secret', 1n))],
    [
      'an RpcError with another code',
      throws(Object.assign(new RpcError(1, 'secret'), { code: Number.NaN })),
    ],
    [
      'an RpcError with a cycle',
      () => {
        const data: unknown[] = [];
        data.push(data);
        throw new RpcError(1, 'secret', data);
      },
    ],
  ])('that returns or throws %s is -32603, and the next one runs', async (_, say) => {
    const { ask, reports } = setUpRaw({ say: say as never });
    expect(await ask(call(1, 'say', { text: '' }))).toEqual({
      jsonrpc: '2.0',
      id: 1,
      error: { code: -32_603, message: 'Internal error' },
    });
    expect(reports).toHaveLength(1);
    expect(await ask(call(2, 'add', [1, 2]))).toMatchObject({ id: 2, result: 3 });
  });

  it('runs in the context of its own connection, also when it has waited', async () => {
    // The server's package gives each connection its context.
    expect(serve).toBeTypeOf('function');
    const storage = new AsyncLocalStorage<string>();
    const seen: string[] = [];
    const release: (() => void)[] = [];
    const handlers = {
      ...serverHandlers,
      twice: async (text: string) => {
        seen.push(`${text} ${storage.getStore()}`);
        await new Promise<void>((resolve) => release.push(resolve));
        return `${storage.getStore()}`;
      },
    };
    const peers = ['a', 'b'].map((name) =>
      storage.run(name, () => {
        const [client, server] = connPair();
        quietly(chat.serve(handlers)(server));
        return chat.connect(client, clientHandlers);
      }),
    );
    const calls = ['1', '2', '3'].flatMap((text) => peers.map((peer) => peer.twice(text)));
    for (let i = 0; i < 6; i++) {
      await until(() => expect(release.length).toBeGreaterThan(i));
      storage.run('of the test', release[i]!);
    }
    expect(await Promise.all(calls)).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect(seen.toSorted()).toEqual(['1 a', '1 b', '2 a', '2 b', '3 a', '3 b']);
  });

  it('is told of the end while reading pauses, through serve', async () => {
    const signals: AbortSignal[] = [];
    const { client, serverConn, serving } = setUpRaw({
      say: (_, { signal }) => {
        signals.push(signal);
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve({ at: 0 }));
        });
      },
    });
    for (let i = 0; i < 400; i++) void client.send(call(i, 'say', { text: '' })).catch(() => {});
    await until(() => expect(signals).toHaveLength(1));
    await until(() => expect(serverConn.stats.messagesIn).toBe(400));
    serverConn.terminate();
    await serving.catch(() => {});
    expect(signals[0]!.aborted).toBe(true);
    // The waiting requests are dropped.
    expect(signals).toHaveLength(1);
  });
});
