import { connPair } from '@ws/conn';
import { type Conn, dial } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  rejectsWrongPort,
  startExample,
} from '@ws/tests/examples';
import * as v from 'valibot';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { method, Rpc, RpcError } from '../rpc.ts';

describe('examples/json-rpc', () => {
  let example: Example;
  let conn: Conn;
  beforeAll(async () => void (example = await startExample('json-rpc')));
  afterAll(() => example?.stop());
  beforeEach(async () => {
    conn = await dial(example.ws, { subprotocols: ['jsonrpc'] });
  });
  afterEach(() => conn.close());

  async function answer(request: unknown): Promise<unknown> {
    await conn.send(typeof request === 'string' ? request : JSON.stringify(request));
    return conn.readJSON();
  }

  it('agrees on its subprotocol', () => expect(conn.subprotocol).toBe('jsonrpc'));

  it.each([
    ['a call', { method: 'add', params: [1, 2], id: 1 }, { id: 1, result: 3 }],
    [
      'a call by name',
      { method: 'greet', params: { name: 'ada' }, id: 'x' },
      { id: 'x', result: 'hello, ada' },
    ],
    [
      'an error of the application',
      { method: 'divide', params: [1, 0], id: 2 },
      { id: 2, error: { code: 1, message: 'division by zero' } },
    ],
    [
      'a method that is not there',
      { method: 'constructor', params: [], id: 3 },
      { id: 3, error: { code: -32_601, message: 'Method not found' } },
    ],
    [
      'a call without its version',
      { jsonrpc: '1.0', method: 'add', params: [1, 2], id: 4 },
      { id: null, error: { code: -32_600, message: 'Invalid Request' } },
    ],
  ])('answers %s', async (_, request, response) => {
    expect(await answer({ jsonrpc: '2.0', ...request })).toEqual({ jsonrpc: '2.0', ...response });
  });

  it('answers invalid params', async () => {
    const response = await answer({ jsonrpc: '2.0', method: 'add', params: [1, '2'], id: 5 });
    expect(response).toMatchObject({ id: 5, error: { code: -32_602 } });
  });

  it('answers a message that is not JSON, and stays open', async () => {
    expect(await answer('{')).toMatchObject({ id: null, error: { code: -32_700 } });
    expect(await answer({ jsonrpc: '2.0', method: 'add', params: [1, 1], id: 6 })).toMatchObject({
      result: 2,
    });
  });

  it('does not answer a notification', async () => {
    await conn.writeJSON({ jsonrpc: '2.0', method: 'add', params: [1, 2] });
    await conn.writeJSON({ jsonrpc: '2.0', method: 'nothing' });
    expect(await answer({ jsonrpc: '2.0', method: 'add', params: [2, 2], id: 7 })).toMatchObject({
      id: 7,
    });
  });

  rejectsWrongPort('json-rpc');

  endsWithSilentClient(
    () => startExample('json-rpc'),
    async ({ ws }) => dial(ws),
  );
});

describe('Rpc', () => {
  it('calls in both directions at once', async () => {
    const [client, server] = connPair();
    const double = method(v.strictTuple([v.number()]), ([x]) => 2 * x);
    const here = new Rpc(client, { double });
    const there = new Rpc(server, { double });
    const ends = [here.serve(), there.serve()];
    const calls = [1, 2, 3].flatMap((x) => [here.call('double', [x]), there.call('double', [x])]);
    expect(await Promise.all(calls)).toEqual([2, 2, 4, 4, 6, 6]);
    await expect(here.call('triple')).rejects.toThrow(new RpcError(-32_601, 'Method not found'));
    await client.close();
    await Promise.all(ends);
  });

  it('lets a method call the other end, and await its answer', async () => {
    const [client, server] = connPair();
    const there: Rpc = new Rpc(server, {
      outer: method(v.undefined(), async () => `outer ${String(await there.call('inner'))}`),
    });
    const here = new Rpc(client, { inner: method(v.undefined(), () => 'inner') });
    const ends = [here.serve(), there.serve()];
    expect(await here.call('outer')).toBe('outer inner');
    await client.close();
    await Promise.all(ends);
  });

  it('stops reading while many calls wait', async () => {
    const [client, server] = connPair({ readAhead: 1000 });
    const slow = method(v.undefined(), () => new Promise(() => {}));
    const there = new Rpc(server, { slow });
    void there.serve();
    for (let id = 0; id < 500; id++) void client.writeJSON({ jsonrpc: '2.0', method: 'slow', id });
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(server.stats.messagesIn).toBeLessThan(100);
    client.terminate();
    server.terminate();
  });

  it('rejects pending calls when the connection ends', async () => {
    const [client, server] = connPair();
    const caller = new Rpc(client, {});
    const end = caller.serve();
    const call = caller.call('anything');
    void server.close(1001, 'bye');
    await expect(call).rejects.toThrow('the connection ended before the answer: 1001 bye');
    await end;
  });
});
