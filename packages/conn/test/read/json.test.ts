import { describe, expect, expectTypeOf, it } from 'vitest';
import { JSONError } from '../../src/index.ts';
import type { StandardSchema } from '../../src/read/json.ts';
import { wired } from '../wired.ts';

/** A schema as the standard describes it; real libraries are tested beside it. */
function schemaOf<T>(validate: (value: unknown) => unknown): StandardSchema<T> {
  return { '~standard': { version: 1, vendor: 'test', validate: validate as never } };
}

describe('readJSON', () => {
  it('parses text and binary messages', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(1, '{"a":[1,"é"]}'), frame(2, ' 5 '), frame(1, 'null'));
    expect(await conn.readJSON()).toEqual({ a: [1, 'é'] });
    expect(await conn.readJSON<number>()).toBe(5);
    expect(await conn.readJSON()).toBe(null);
  });

  it.each(['', ' \n', '{', '{"a":1} x', 'NaN'])(
    'rejects %j, and the connection stays usable',
    async (text) => {
      const { conn, feed, frame } = wired('server');
      feed(frame(1, text), frame(1, '"next"'));
      const read = conn.readJSON();
      await expect(read).rejects.toBeInstanceOf(JSONError);
      await expect(read).rejects.toMatchObject({ code: 'WS_ERR_JSON' });
      expect(await conn.readJSON()).toBe('next');
    },
  );

  it('handles very deep nesting and dangerous keys', async () => {
    const { conn, feed, frame } = wired('server', { readLimit: false });
    feed(frame(1, `${'['.repeat(100_000)}`), frame(1, '{"__proto__":{"x":1},"constructor":2}'));
    await expect(conn.readJSON()).rejects.toBeInstanceOf(JSONError);
    const value = await conn.readJSON<Record<string, unknown>>();
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('returns the output of the schema, also of an asynchronous one', async () => {
    const { conn, feed, frame } = wired('server');
    const schema = schemaOf<number>(async (value) => ({ value: Number(value) * 2 }));
    feed(frame(1, '"21"'));
    const value = await conn.readJSON({ schema });
    expectTypeOf(value).toEqualTypeOf<number>();
    expect(value).toBe(42);
  });

  it('rejects with the issues of the schema, and the connection stays usable', async () => {
    const { conn, feed, frame } = wired('server');
    const issues = [
      { message: 'too small', path: ['a', { key: 'b' }] },
      { message: 'x' },
      { message: 'y' },
      { message: 'z' },
    ];
    feed(frame(1, '1'), frame(1, '2'));
    const read = conn.readJSON({ schema: schemaOf(() => ({ issues })) });
    await expect(read).rejects.toMatchObject({ issues, code: 'WS_ERR_JSON' });
    await expect(read).rejects.toThrow('a.b: too small; x; y; …');
    expect(await conn.readJSON()).toBe(2);
  });

  it('rejects with no issue, or with one that says nothing', async () => {
    const { conn, feed, frame } = wired('server');
    for (const issues of [[], [{ message: '' }]]) {
      feed(frame(1, '1'));
      const read = conn.readJSON({ schema: schemaOf(() => ({ issues })) });
      await expect(read).rejects.toThrow(/ the schema$/);
    }
  });

  it('rejects when the schema throws, with its error as the cause', async () => {
    const { conn, feed, frame } = wired('server');
    const cause = new Error('schema');
    feed(frame(1, '1'));
    const schema = schemaOf(() => {
      throw cause;
    });
    await expect(conn.readJSON({ schema })).rejects.toMatchObject({ code: 'WS_ERR_JSON', cause });
  });

  it('ends the wait for a schema that never settles', async () => {
    const { conn, feed, frame, platform } = wired('server');
    feed(frame(1, '1'), frame(1, '2'), frame(1, '3'));
    const schema = schemaOf(() => new Promise(() => {}));
    const late = conn.readJSON({ schema, timeout: 100 });
    await platform.advance(100);
    await expect(late).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT', permanent: false });
    const abort = new AbortController();
    const aborted = conn.readJSON({ schema, signal: abort.signal });
    await platform.settle();
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    // Neither read has lost a message.
    expect([await conn.readJSON(), await conn.readJSON(), await conn.readJSON()]).toEqual([
      1, 2, 3,
    ]);
  });

  const SCHEMAS = {
    none: undefined,
    'a synchronous one': schemaOf((value) => ({ value })),
    'an asynchronous one': schemaOf((value) => Promise.resolve({ value })),
    'one that never settles': schemaOf(() => new Promise(() => {})),
  };

  it.each(Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[])(
    'loses no message when it is aborted any number of microtasks after the message; schema: %s',
    async (name) => {
      const schema = SCHEMAS[name];
      for (let microtasks = 0; microtasks < 20; microtasks++) {
        const { conn, feed, frame, platform } = wired('server');
        await platform.settle();
        const abort = new AbortController();
        const options = { signal: abort.signal, ...(schema === undefined ? {} : { schema }) };
        const read = conn.readJSON(options as object).then(
          (value) => [value],
          () => [],
        );
        feed(frame(1, '"one"'), frame(1, '"two"'));
        for (let i = 0; i < microtasks; i++) await Promise.resolve();
        abort.abort(new Error('stop'));
        const all = await read;
        while (all.length < 2) all.push(await conn.readJSON());
        expect(all).toEqual(['one', 'two']);
        conn.terminate();
      }
    },
  );

  it.each(['readMessage', 'nextReader', 'receive', 'for await'])(
    'gives the message of an aborted call to a %s that is pending already',
    async (way) => {
      const { conn, feed, frame, platform } = wired('server');
      await platform.settle();
      const abort = new AbortController();
      const schema = schemaOf(() => new Promise(() => {}));
      const aborted = conn.readJSON({ schema, signal: abort.signal });
      feed(frame(1, '"one"'));
      await platform.settle();
      const got: string[] = [];
      const loop = async (): Promise<void> => {
        for await (const message of conn) got.push(message.text());
      };
      if (way === 'readMessage') void conn.readMessage().then((m) => got.push(m.text()));
      else if (way === 'receive') void conn.receive((m) => void got.push(m.text()));
      else if (way === 'for await') void loop().catch(() => {});
      else void conn.nextReader().then(async (reader) => got.push(await reader.text()));
      abort.abort(new Error('stop'));
      await expect(aborted).rejects.toThrow('stop');
      await platform.settle();
      expect(got).toEqual(['"one"']);
      conn.terminate();
    },
  );

  it('rejects an invalid schema before it reads', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(1, '1'));
    for (const schema of [5, null, {}, () => true]) {
      await expect(conn.readJSON({ schema: schema as never })).rejects.toBeInstanceOf(TypeError);
    }
    await expect(conn.readJSON(5 as never)).rejects.toBeInstanceOf(TypeError);
    expect(await conn.readJSON()).toBe(1);
  });

  it('can be cancelled, and reports a conflict by its name', async () => {
    const { conn, platform } = wired('server');
    const read = conn.readJSON({ timeout: 20 });
    await expect(conn.readMessage()).rejects.toThrow('readMessage while readJSON is pending');
    await platform.advance(30);
    await expect(read).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
  });
});

describe('writeJSON', () => {
  it('sends text without a newline', async () => {
    const { conn, platform, sent } = wired('server');
    await conn.writeJSON({ a: '<é>' });
    await conn.writeJSON(null);
    await conn.writeJSON([undefined]);
    await platform.settle();
    expect(sent()).toEqual(['text {"a":"<é>"}', 'text null', 'text [null]']);
  });

  const circle: Record<string, unknown> = {};
  circle['self'] = circle;

  it.each([
    ['undefined', undefined],
    ['a function', () => {}],
    ['a symbol', Symbol('x')],
    ['a BigInt', 5n],
    ['a circle', circle],
    [
      'a toJSON that throws',
      {
        toJSON: () => {
          throw new Error('x');
        },
      },
    ],
  ])('rejects %s, and sends no frame', async (_says, value) => {
    const { conn, platform, transport } = wired('server');
    await expect(conn.writeJSON(value)).rejects.toBeInstanceOf(JSONError);
    await platform.settle();
    expect(transport.writes).toEqual([]);
    expect(conn.state).toBe('open');
  });
});
