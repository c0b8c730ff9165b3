// The compression options of a Conn, and the values that it rejects.
import { FakePlatform, NO_TAKEOVER, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, type ConnOptions } from '../src/index.ts';
import { resolveSettings } from '../src/internal.ts';

describe('the option deflate', () => {
  it.each([
    [true, TypeError, 'deflate: expected an object of parameters, got boolean'],
    [5, TypeError, 'deflate: expected an object of parameters, got number'],
    [null, TypeError, 'deflate: expected an object of parameters, got null'],
    [[NO_TAKEOVER], TypeError, 'deflate: expected an object of parameters, got Array'],
    [{}, TypeError, 'deflate.serverNoContextTakeover: expected true or false, got undefined'],
    [
      { ...NO_TAKEOVER, clientNoContextTakeover: 1 },
      TypeError,
      'deflate.clientNoContextTakeover: expected true or false, got number',
    ],
    [
      { ...NO_TAKEOVER, serverMaxWindowBits: '15' },
      TypeError,
      'deflate.serverMaxWindowBits: expected a number, got string',
    ],
    [
      { ...NO_TAKEOVER, clientMaxWindowBits: undefined },
      TypeError,
      'deflate.clientMaxWindowBits: expected a number, got undefined',
    ],
    ...[99, 7, 16, 8.5, Number.NaN].map(
      (bits) =>
        [
          { ...NO_TAKEOVER, serverMaxWindowBits: bits },
          RangeError,
          `deflate.serverMaxWindowBits: expected a whole number from 8 to 15, got ${bits}`,
        ] as const,
    ),
  ] as const)('%j is rejected before the transport starts', (deflate, kind, message) => {
    const transport = new TestTransport();
    const platform = Object.assign(new FakePlatform(), { deflate: {} });
    const options = { role: 'server', platform, deflate } as unknown as ConnOptions;
    const make = (): Conn => new Conn(transport, options);
    expect(make).toThrow(kind);
    expect(make).toThrow(message);
    expect(transport.sink).toBeUndefined();
  });
});

describe('the option compression', () => {
  const names = ['level', 'threshold', 'clientMaxWindowBits', 'maxBytes'];

  it.each(names)('rejects null for %s', (name) => {
    const resolve = (): unknown => resolveSettings({ compression: { [name]: null } }, 'server');
    expect(resolve).toThrow(TypeError);
    expect(resolve).toThrow(`compression.${name}: expected a number, got null`);
    expect(
      resolveSettings({ compression: { [name]: undefined } }, 'server').writing.compression,
    ).toEqual(resolveSettings({ compression: true }, 'server').writing.compression);
  });

  it.each(names)('rejects -0 for %s, as other options do', (name) => {
    expect(() => resolveSettings({ compression: { [name]: -0 } }, 'server')).toThrow(RangeError);
  });

  it.each([
    ['asyncDeflateThreshold', 'it is gone: nextWriter compresses messages above maxBytes'],
    [
      'sendHistory',
      "it is gone: leave it out; mode 'takeover' keeps the context of 16 busy connections",
    ],
    ['serverMaxWindowBits', 'it is gone: the bound is always 15, or fewer if the peer asks for it'],
    ['takeoverEngines', 'it is gone: the bound is always 16 in a process'],
  ])('says what to write instead of %s', (name, cure) => {
    const compression = { [name]: 1 };
    expect(() => resolveSettings({ compression }, 'server')).toThrow(
      new TypeError(`compression: unknown option ${name}; ${cure}`),
    );
  });

  it.each([false, Infinity] as const)('takes %s as no bound for maxBytes', (maxBytes) => {
    const { compression } = resolveSettings({ compression: { maxBytes } }, 'server').writing;
    expect(compression).toMatchObject({ maxBytes: Infinity });
  });

  it('rejects null for its mode', () => {
    const compression = { mode: null } as never;
    expect(() => resolveSettings({ compression }, 'server')).toThrow(
      "compression.mode: expected 'shared' or 'takeover', got null",
    );
  });

  it.each([
    [[], 'Array'],
    [new Map(), 'Map'],
    [null, 'null'],
    [1, 'number'],
    ['yes', '"yes"'],
  ])('rejects %j', (compression, got) => {
    const resolve = (): unknown => resolveSettings({ compression: compression as never }, 'server');
    expect(resolve).toThrow(TypeError);
    expect(resolve).toThrow(
      `compression: expected true, false, 'shared', 'takeover' or an object, got ${got}`,
    );
  });
});
