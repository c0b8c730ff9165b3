import { type Conn, dial } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  rejectsWrongPort,
  startExample,
} from '@ws/tests/examples';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

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
