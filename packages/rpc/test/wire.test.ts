import { connPair } from '@ws/conn';
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { INVALID, setUpRaw } from './pairs.ts';

/** The server of the examples of the specification. */
function specification() {
  const Two = z.union([
    z.tuple([z.number(), z.number()]),
    z.object({ minuend: z.number(), subtrahend: z.number() }),
  ]);
  const spec = contract({
    server: {
      subtract: method(Two, z.number()),
      update: method(z.array(z.number()), z.void()),
      get_data: method(z.undefined(), z.tuple([z.string(), z.number()])),
    },
  });
  const [client, server] = connPair();
  void spec.serve({
    subtract: (input) =>
      Array.isArray(input) ? input[0] - input[1] : input.minuend - input.subtrahend,
    update: () => undefined,
    get_data: () => ['hello', 5] as [string, number],
  })(server);
  return async (text: string): Promise<unknown> => {
    await client.send(text);
    await client.send('{"jsonrpc": "2.0", "method": "get_data", "id": "last"}');
    const first = (await client.readMessage()).json() as { id: unknown };
    if (first.id === 'last') return undefined;
    await client.readMessage();
    return first;
  };
}

const error = (id: unknown, code: number, message: string) => ({
  jsonrpc: '2.0',
  id,
  error: { code, message },
});

describe('the examples of the JSON-RPC 2.0 specification', () => {
  it.each([
    ['{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', 1, 19],
    ['{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', 2, -19],
    [
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
      3,
      19,
    ],
    [
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
      4,
      19,
    ],
  ])('%s', async (text, id, result) => {
    expect(await specification()(text)).toEqual({ jsonrpc: '2.0', id, result });
  });

  it.each([
    '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}',
    '{"jsonrpc": "2.0", "method": "foobar"}',
  ])('%s has no answer', async (text) => {
    expect(await specification()(text)).toBeUndefined();
  });

  it.each([
    ['{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', error('1', -32_601, 'Method not found')],
    [
      '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
      error(null, -32_700, 'Parse error'),
    ],
    ['{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID],
    ['[]', INVALID],
    ['[1]', INVALID],
    ['[{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}]', INVALID],
  ])('%s', async (text, answer) => {
    expect(await specification()(text)).toEqual(answer);
  });
});

describe('a peer of another library', () => {
  it.each([
    { jsonrpc: '1.0', id: 1, method: 'add', params: [1, 2] },
    { id: 1, method: 'add', params: [1, 2] },
    { jsonrpc: '2.0', id: 1 },
    'null',
    '1',
    '"add"',
  ])('is told that %j is no request', async (message) => {
    const { ask } = setUpRaw();
    expect(await ask(message)).toEqual(INVALID);
  });

  it.each([
    { jsonrpc: '2.0', id: 7, method: 'add', params: 'text' },
    { jsonrpc: '2.0', id: 'a', method: 'add', params: null },
    { jsonrpc: '2.0', id: 7, method: 5 },
    { jsonrpc: '2.0', id: '', method: null },
  ])('is told by its id that %j is no request', async (message) => {
    const { ask } = setUpRaw();
    expect(await ask(message)).toEqual(error(message.id, -32_600, 'Invalid Request'));
  });

  it('is told that a binary message is no request', async () => {
    const { client, next } = setUpRaw();
    await client.send(new Uint8Array([123, 125]));
    expect(await next()).toEqual(INVALID);
  });

  it.each(['__proto__', 'constructor', 'toString', 'then', 'rpc.discover', '$/x', 'Add', ''])(
    'finds no method %j',
    async (name) => {
      const { ask } = setUpRaw();
      const request = { jsonrpc: '2.0', id: 1, method: name };
      expect(await ask(request)).toEqual(error(1, -32_601, 'Method not found'));
    },
  );

  it('finds no method of the name of an event', async () => {
    const { ask } = setUpRaw();
    const request = { jsonrpc: '2.0', id: 1, method: 'typing', params: { room: 'r' } };
    expect(await ask(request)).toEqual(error(1, -32_601, 'Method not found'));
  });

  it('gets the issues of an input that does not fit, at most ten', async () => {
    const list = contract({ server: { list: method(z.array(z.number()), z.number()) } });
    const [client, server] = connPair();
    void list.serve({ list: () => 0 })(server);
    const params = Array.from({ length: 30 }, () => 'x');
    await client.writeJSON({ jsonrpc: '2.0', id: 1, method: 'list', params });
    const answer = (await client.readMessage()).json() as {
      error: { code: number; data: { issues: { path: unknown[] }[] } };
    };
    expect(answer.error.code).toBe(-32_602);
    expect(answer.error.data.issues.map(({ path }) => path)).toEqual(
      Array.from({ length: 10 }, (_, i) => [i]),
    );
  });

  it('leaves the prototype of an input alone', async () => {
    const any = contract({
      server: { keys: method(z.record(z.string(), z.unknown()), z.boolean()) },
    });
    const [client, server] = connPair();
    void any.serve({ keys: () => 'polluted' in {} })(server);
    await client.send(
      '{"jsonrpc":"2.0","id":1,"method":"keys","params":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}',
    );
    expect((await client.readMessage()).json()).toMatchObject({ id: 1, result: false });
  });

  it('survives a depth of 100,000', async () => {
    const { ask } = setUpRaw();
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = `{"jsonrpc":"2.0","id":1,"method":"add","params":${deep}}`;
    expect(await ask(text)).toMatchObject({ id: 1, error: { code: expect.any(Number) } });
  });
});
