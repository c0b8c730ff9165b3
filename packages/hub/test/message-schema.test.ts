import { connPair, JSONError } from '@ws/conn';
import { Hub } from '@ws/hub';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

describe('hub.on with a schema', () => {
  it('gives values with their type, and the others to invalid', async () => {
    const hub = new Hub<string>();
    const got: unknown[] = [];
    hub.on(
      'message',
      (session, { x }, message) => {
        expectTypeOf(session.data).toEqualTypeOf<string>();
        expectTypeOf(x).toEqualTypeOf<number>();
        got.push([session.data, x, message.text()]);
      },
      {
        schema: z.object({ x: z.number() }),
        invalid: (session, error) => {
          expectTypeOf(error).toEqualTypeOf<JSONError>();
          session.send('what?');
        },
      },
    );
    const [client, server] = connPair();
    hub.add(server, { data: 'ada' });
    await client.send('{"x":1}');
    await client.send('{"x":"1"}');
    expect((await client.readMessage()).text()).toBe('what?');
    expect(got).toEqual([['ada', 1, '{"x":1}']]);
    await hub.close({ timeout: 50 });
  });

  it('closes the session with 1007 by default', async () => {
    const hub = new Hub();
    const got: unknown[] = [];
    const remove = hub.on('message', (_session, value) => got.push(value), {
      schema: v.array(v.string()),
    });
    const [client, server] = connPair();
    hub.add(server);
    await client.send('["a"]');
    await client.send('[1]');
    await client.send('["b"]');
    expect(await client.closed).toMatchObject({
      code: 1007,
      reason: 'message does not fit the schema',
    });
    expect(got).toEqual([['a']]);
    remove();
    await hub.close({ timeout: 50 });
  });

  it('reports a schema that fails, and closes with 1011', async () => {
    const hub = new Hub();
    const errors: unknown[] = [];
    hub.on('error', (_session, error) => void errors.push(error));
    const schema = z.string().transform(() => {
      throw new Error('mine');
    });
    hub.on('message', () => {}, { schema });
    const [client, server] = connPair();
    hub.add(server);
    await client.send('"a"');
    expect((await client.closed).code).toBe(1011);
    expect(errors[0]).toBeInstanceOf(JSONError);
    await hub.close({ timeout: 50 });
  });

  it.each([
    ['connect', { schema: z.string() }, 'hub.on: only message takes options, not connect'],
    ['message', {}, 'schema: expected a Standard Schema'],
    ['message', { schema: z.string(), invalid: 1 }, 'invalid: expected a function, got number'],
  ])('checks its arguments: %s %j', (event, options, text) => {
    expect(() => new Hub().on(event as 'message', () => {}, options as never)).toThrow(text);
  });
});
