import { describe, expect, it } from 'vitest';
import { JSONError } from '../../src/index.ts';
import { wired } from '../wired.ts';

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

  it('loses no message when it is aborted any number of microtasks after the message', async () => {
    for (let microtasks = 0; microtasks < 20; microtasks++) {
      const { conn, platform, feed, frame } = wired('server');
      await platform.settle();
      const abort = new AbortController();
      const read = conn.readJSON({ signal: abort.signal }).then(
        (value) => [value],
        () => [],
      );
      feed(frame(1, '"one"'), frame(1, '"two"'));
      for (let i = 0; i < microtasks; i++) await Promise.resolve();
      abort.abort(new Error('stop'));
      const all = await read;
      while (all.length < 2) all.push(await conn.readJSON());
      expect(all).toEqual(['one', 'two']);
    }
  });
});

describe('writeJSON', () => {
  it('sends text without a newline', async () => {
    const { conn, output } = wired('server');
    await conn.writeJSON({ a: '<é>' });
    await conn.writeJSON(null);
    await conn.writeJSON([undefined]);
    expect(await output()).toEqual(['text {"a":"<é>"}', 'text null', 'text [null]']);
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
