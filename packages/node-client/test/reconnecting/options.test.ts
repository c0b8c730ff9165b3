import { describe, expect, it } from 'vitest';
import { type ReconnectingOptions, reconnecting } from '../../src/index.ts';

describe('reconnecting throws at once', () => {
  it.each<[string, ReconnectingOptions, typeof Error, string]>([
    [
      'an unknown option',
      { minimum: 5 } as never,
      TypeError,
      'reconnecting: unknown option minimum; known options: minDelay',
    ],
    ['no object of options', 5 as never, TypeError, 'options'],
    ['null for options', null as never, TypeError, 'options'],
    ['a minDelay of 0', { minDelay: 0 }, RangeError, 'minDelay'],
    ['a negative minDelay', { minDelay: -1 }, RangeError, 'minDelay'],
    ['a minDelay that is not a number', { minDelay: Number.NaN }, RangeError, 'minDelay'],
    ['a minDelay as text', { minDelay: '5' as never }, TypeError, 'minDelay'],
    ['a maxDelay without end', { maxDelay: Infinity }, RangeError, 'maxDelay'],
    ['a maxDelay of false', { maxDelay: false as never }, TypeError, 'maxDelay'],
    ['a minDelay over maxDelay', { minDelay: 6, maxDelay: 5 }, RangeError, 'minDelay: 6 is more'],
    ['a stop code of 999', { stopCodes: [999] }, RangeError, 'stopCodes'],
    ['a stop code of 5000', { stopCodes: [1000, 5000] }, RangeError, 'stopCodes'],
    ['a stop code of 1000.5', { stopCodes: [1000.5] }, RangeError, 'stopCodes'],
    ['a stop code as text', { stopCodes: ['1000' as never] }, TypeError, 'stopCodes'],
    ['one stop code', { stopCodes: 1000 as never }, TypeError, 'stopCodes'],
    ['a signal that is none', { signal: {} as never }, TypeError, 'signal'],
    ['a retry that is not a function', { retry: true as never }, TypeError, 'retry'],
    ['a bad handshakeTimeout', { handshakeTimeout: 0 }, RangeError, 'handshakeTimeout'],
    ['a fixed header', { headers: { Upgrade: 'x' } }, TypeError, 'Upgrade'],
    ['a header with a line end', { headers: { 'X-A': 'a\r\nb' } }, TypeError, 'X-A'],
    ['headers of null', { headers: null as never }, TypeError, 'headers'],
    ['a bad subprotocol', { subprotocols: ['a b'] }, SyntaxError, 'subprotocols'],
    ['a bad setting of the Conn', { readLimit: 0 }, RangeError, 'readLimit'],
  ])('for %s', (_, options, type, words) => {
    const call = (): unknown => reconnecting('ws://h/', options);
    expect(call).toThrow(type);
    expect(call).toThrow(words);
  });

  it.each<[string, unknown, typeof Error]>([
    ['no URL', 'nowhere', SyntaxError],
    ['a URL of another scheme', 'ftp://h/', SyntaxError],
    ['user info', 'ws://a:b@h/', SyntaxError],
    ['a number', 5, TypeError],
  ])('for %s', (_, url, type) => {
    expect(() => reconnecting(url as string)).toThrow(type);
  });

  it('accepts a minDelay over the default maxDelay, and the reverse', () => {
    expect(() => reconnecting('ws://h/', { minDelay: 60_000 })).not.toThrow();
    expect(() => reconnecting('ws://h/', { maxDelay: 5 })).not.toThrow();
  });
});
