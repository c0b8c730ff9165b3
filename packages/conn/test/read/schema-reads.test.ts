// The option schema of receive and of loops.
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { type Conn, JSONError, type StandardSchema } from '../../src/index.ts';
import { wired } from '../wired.ts';

const zod = z.object({ x: z.number(), tags: z.array(z.string()).default([]) });
const valibot = v.object({ x: v.number(), tags: v.optional(v.array(v.string()), []) });
type Value = { x: number; tags: string[] };

function schemaOf<T>(validate: (value: unknown) => unknown): StandardSchema<T> {
  return { '~standard': { version: 1, vendor: 'test', validate: validate as never } };
}

interface Ways {
  readonly invalid?: (error: JSONError, text: string) => unknown;
}

/** Reads values until the connection ends. */
const readers: Record<
  string,
  (conn: Conn, schema: StandardSchema, got: unknown[], ways: Ways) => Promise<unknown>
> = {
  receive: (conn, schema, got, { invalid }) =>
    conn.receive((value) => void got.push(value), {
      schema,
      invalid: invalid && ((error, message) => invalid(error, message.text())),
    }),
  async messages(conn, schema, got, { invalid }) {
    const options = {
      schema,
      invalid:
        invalid &&
        ((error: JSONError, message: { text(): string }) => invalid(error, message.text())),
    };
    for await (const value of conn.messages(options)) got.push(value);
  },
};

/** A loop with an asynchronous schema needs a few turns. */
async function settled(platform: { settle(): Promise<void> }): Promise<void> {
  for (let i = 0; i < 20; i++) await platform.settle();
}

function reading(read: (typeof readers)[string], schema: StandardSchema, ways: Ways = {}) {
  const reported: unknown[] = [];
  const end = wired('server', { report: (error) => void reported.push(error) });
  const got: unknown[] = [];
  const outcome = read(end.conn, schema, got, ways).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { ...end, reported, got, outcome };
}

describe.each(Object.entries(readers))('%s with a schema', (name, read) => {
  it.each([
    ['zod', zod],
    ['valibot', valibot],
  ])('gives the outputs of %s in order', async (_library, schema) => {
    const { conn, platform, frame, feed, transport, got, outcome } = reading(read, schema);
    feed(frame(1, '{"x":1}'), frame(2, '{"x":2,"tags":["a"]}'), frame(1, '{"x":3,"y":0}'));
    await settled(platform);
    expect(got).toEqual([
      { x: 1, tags: [] },
      { x: 2, tags: ['a'] },
      { x: 3, tags: [] },
    ]);
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    await settled(platform);
    transport.break();
    expect(await outcome).toBeUndefined();
    expect(conn.state).toBe('closed');
  });

  it('keeps the order with an asynchronous schema', async () => {
    let n = 0;
    const slow = schemaOf<number>(async (value) => {
      for (let i = n++ % 3; i < 3; i++) await Promise.resolve();
      return { value };
    });
    const { conn, platform, frame, feed, got } = reading(read, slow);
    feed(...[0, 1, 2, 3, 4, 5].map((i) => frame(1, `${i}`)));
    await settled(platform);
    expect(got).toEqual([0, 1, 2, 3, 4, 5]);
    conn.terminate();
  });

  it.each([
    ['{"x":"1"}', 'message does not fit the schema'],
    ['{"x":', 'message is not JSON'],
    ['', 'message is not JSON'],
  ])('closes with 1007 for %j, and delivers nothing after it', async (text, reason) => {
    const { conn, platform, frame, feed, transport, sent, got, outcome, reported } = reading(
      read,
      zod,
    );
    feed(frame(1, '{"x":1}'), frame(1, text), frame(1, '{"x":2}'));
    await settled(platform);
    expect(got).toEqual([{ x: 1, tags: [] }]);
    expect(sent()).toEqual([`close 1007 ${reason}`]);
    expect(await outcome).toBeInstanceOf(JSONError);
    transport.break();
    expect((await conn.closed).error).toBeInstanceOf(JSONError);
    // The fault is the peer's.
    expect(reported).toEqual([]);
  });

  it('tells a misfit without issues from a message that is not JSON', async () => {
    const { conn, platform, frame, feed, sent } = reading(
      read,
      schemaOf(() => ({ issues: [] })),
    );
    feed(frame(1, '{"x":1}'));
    await settled(platform);
    expect(sent()).toEqual(['close 1007 message does not fit the schema']);
    conn.terminate();
  });

  it('gives what does not fit to the function, in order, and waits for its promise', async () => {
    const seen: unknown[] = [];
    const { conn, platform, frame, feed, got } = reading(read, zod, {
      invalid: async ({ name: error, issues }, text) => {
        await Promise.resolve();
        seen.push([error === 'JSONError', issues.length, text, got.length]);
      },
    });
    feed(frame(1, '{"x":1}'), frame(1, '{"x":"1"}'), frame(1, 'no'), frame(1, '{"x":2}'));
    await settled(platform);
    expect(seen).toEqual([
      [true, 1, '{"x":"1"}', 1],
      [true, 0, 'no', 1],
    ]);
    expect(got).toHaveLength(2);
    conn.terminate();
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
    ['returns nothing', () => undefined],
    [
      'returns a promise that throws',
      () => ({
        // oxlint-disable-next-line unicorn/no-thenable -- the case
        get then() {
          throw new Error('mine');
        },
      }),
    ],
  ])('takes a schema that %s for an error of the application', async (_says, validate) => {
    const { conn, platform, frame, feed, sent, outcome, reported } = reading(
      read,
      schemaOf(validate),
      { invalid: () => expect.unreachable() },
    );
    feed(frame(1, '1'));
    await settled(platform);
    expect(await outcome).toMatchObject({ name: 'JSONError', message: /the schema failed/ });
    // A loop throws it into the code of the application, which decides.
    if (name === 'receive') {
      expect(sent()).toEqual(['close 1011']);
      expect(reported).toHaveLength(1);
    }
    conn.terminate();
  });
});

describe('a schema', () => {
  it('gives its type to the handler and the loop without annotations', async () => {
    const { conn, platform } = wired('server');
    const done = conn.receive(
      (value, message) => {
        expectTypeOf(value).toEqualTypeOf<Value>();
        expectTypeOf(message.text()).toEqualTypeOf<string>();
      },
      {
        schema: zod,
        invalid: (error) => expectTypeOf(error).toEqualTypeOf<JSONError>(),
      },
    );
    conn.terminate();
    await done.catch(() => {});
    const loop = async (): Promise<void> => {
      for await (const value of conn.messages({ schema: valibot })) {
        expectTypeOf(value).toEqualTypeOf<Value>();
      }
    };
    await loop().catch(() => {});
    await settled(platform);
  });

  it('leaves the loop open for later reads', async () => {
    const { conn, frame, feed } = wired('server');
    feed(frame(1, '1'), frame(1, '2'));
    for await (const value of conn.messages({ schema: z.number() })) {
      expect(value).toBe(1);
      break;
    }
    expect((await conn.readMessage()).text()).toBe('2');
    conn.terminate();
  });

  it.each([
    [{}, 'schema: expected a Standard Schema (zod, valibot, ...), got undefined'],
    [{ schema: 5 }, 'schema: expected a Standard Schema (zod, valibot, ...), got number'],
    [{ schema: zod, invalid: 5 }, 'invalid: expected a function, got number'],
    [{ schema: zod, onInvalid: () => {} }, 'unknown option onInvalid'],
    [null, 'expected an object of options, got null'],
  ])('is checked: %j', async (options, text) => {
    const { conn } = wired('server', { report: () => {} });
    await expect(conn.receive(() => {}, options as never)).rejects.toThrow(text);
    expect(() => conn.messages(options as never)).toThrow(text);
    conn.terminate();
  });
});
