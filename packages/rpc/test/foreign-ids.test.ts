import { connPair, JSONError } from '@ws/conn';
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { call, failure, INVALID, never, nextOf, settled, setUpRaw } from './pairs.ts';

describe('a foreign id', () => {
  it.each([
    '0',
    '-7',
    '1.5',
    '9007199254740991',
    '"9007199254740993"',
    '"a b"',
    '"\\u0000"',
    '""',
    'null',
  ])('%s comes back', async (id) => {
    const { client, serverConn } = setUpRaw();
    await client.send(`{"jsonrpc":"2.0","id":${id},"method":"add","params":[1,2]}`);
    const answer = (await client.readMessage()).text();
    expect(answer).toBe(`{"jsonrpc":"2.0","id":${id},"result":3}`);
    expect(serverConn.state).toBe('open');
  });

  it.each(['1e400', '-1e400', '9007199254740993', '1e300', 'true', '[]', '{}', '[1]'])(
    '%s is none: no answer could have it',
    async (id) => {
      const { ask } = setUpRaw();
      expect(await ask(`{"jsonrpc":"2.0","id":${id},"method":"add","params":[1,2]}`)).toEqual(
        INVALID,
      );
    },
  );

  it('of 100,000 characters, and of two requests at once, comes back', async () => {
    const { client, next } = setUpRaw();
    const id = 'x'.repeat(100_000);
    await client.send(call(id, 'add', [1, 2]));
    await client.send(call(id, 'add', [3, 4]));
    expect(await next()).toEqual({ jsonrpc: '2.0', id, result: 3 });
    expect(await next()).toEqual({ jsonrpc: '2.0', id, result: 7 });
  });

  it('of a handler that runs can be cancelled after another one with the id has ended', async () => {
    const signals: AbortSignal[] = [];
    const { client, next } = setUpRaw(
      {
        say: ({ text }, { signal }) => {
          signals.push(signal);
          return text === 'short' ? { at: 1 } : never();
        },
      },
      2,
    );
    await client.send(call(1, 'say', { text: 'long' }));
    await client.send(call(1, 'say', { text: 'short' }));
    expect(await next()).toMatchObject({ id: 1, result: { at: 1 } });
    await client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}');
    await settled(client);
    expect(signals[0]!.aborted).toBe(true);
  });
});

describe('an id that a peer uses again', () => {
  it('is cancelled for one request after the other', async () => {
    const aborted: string[] = [];
    const { client } = setUpRaw(
      {
        say: ({ text }, { signal }) => {
          signal.addEventListener('abort', () => aborted.push(text));
          return never();
        },
      },
      3,
    );
    for (const text of ['a', 'b', 'c']) await client.send(call(1, 'say', { text }));
    for (let i = 0; i < 2; i++) {
      await client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}');
    }
    await settled(client);
    expect(aborted).toEqual(['a', 'b']);
  });
});

describe('an answer', () => {
  it.each([
    '{"jsonrpc":"2.0","id":1,"result":true}',
    '{"jsonrpc":"2.0","id":"1","result":true}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}',
    '{"jsonrpc":"2.0","id":{},"result":true}',
    '{"jsonrpc":"2.0","result":true}',
    '{"jsonrpc":"2.0","id":"__proto__","result":true}',
    '{"jsonrpc":"2.0","id":9007199254740993,"error":null,"result":1}',
  ])('%s that was not asked for changes nothing, also 1,000 times', async (text) => {
    const { client, ask, serverConn, reports } = setUpRaw();
    for (let i = 0; i < 1_000; i++) void client.send(text);
    expect(await ask(call(5, 'add', [1, 2]))).toMatchObject({ id: 5, result: 3 });
    expect(serverConn.stats.messagesOut).toBe(1);
    expect(reports).toEqual([]);
  });

  it('of another type of id, or a second one, does not settle a call', async () => {
    const { client, next, toClient } = setUpRaw();
    const answer = toClient.confirm({ question: '' });
    expect(await next()).toMatchObject({ id: 1, method: 'confirm' });
    for (const id of ['"1"', '[1]', 'null', '2']) {
      await client.send(`{"jsonrpc":"2.0","id":${id},"result":false}`);
    }
    await client.send('{"jsonrpc":"2.0","id":1,"result":true}');
    await client.send('{"jsonrpc":"2.0","id":1,"result":false}');
    expect(await answer).toBe(true);
  });

  it.each([
    ['"text"'],
    ['[]'],
    ['1'],
    ['{}'],
    ['{"code":"1","message":""}'],
    ['{"code":1.5,"message":""}'],
    ['{"code":1}'],
    ['{"code":1e400,"message":""}'],
  ])('with the error %s rejects with a JSONError', async (fault) => {
    const { client, next, toClient } = setUpRaw();
    const answer = failure(toClient.confirm({ question: '' }));
    await next();
    await client.send(`{"jsonrpc":"2.0","id":1,"error":${fault}}`);
    expect(await answer).toBeInstanceOf(JSONError);
  });

  it('keeps __proto__ and constructor as keys', async () => {
    const any = contract({ server: { get: method(z.undefined(), z.any()) } });
    const [client, server] = connPair();
    const peer = any.connect(client, {});
    const answer = peer.get();
    const { id } = (await nextOf(server)) as { id: number };
    const result = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
    await server.send(`{"jsonrpc":"2.0","id":${id},"result":${result},"__proto__":{"error":1}}`);
    expect(JSON.stringify(await answer)).toBe(result);
    expect('polluted' in {}).toBe(false);
  });

  it('with a depth that JSON cannot write is an error of this end alone', async () => {
    const echo = contract({ server: { echo: method(z.any(), z.any()) } });
    const reports: unknown[] = [];
    const [client, server] = connPair({ report: (error) => void reports.push(error) });
    void echo.serve({
      echo: () => {
        let deep: unknown[] = [];
        for (let i = 0; i < 100_000; i++) deep = [deep];
        return deep;
      },
    })(server);
    await client.send(call(1, 'echo', []));
    expect((await client.readMessage()).json()).toMatchObject({ id: 1, error: { code: -32_603 } });
    expect(reports).toHaveLength(1);
    expect(server.state).toBe('open');
  });
});
