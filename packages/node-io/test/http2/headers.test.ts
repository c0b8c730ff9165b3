import { describe, expect, it } from 'vitest';
import { streamFields } from '../../src/internal.ts';

describe('streamFields', () => {
  it('has names in lower case, without the fields of a connection', () => {
    const lines = [
      ['X-A', '1'],
      ['Connection', 'close'],
      ['Upgrade', 'websocket'],
      ['TE', 'trailers'],
    ] as const;
    expect(streamFields(lines)).toEqual({ 'x-a': '1' });
  });

  it('keeps all lines of a field, but the first one of a field that occurs once', () => {
    const lines = [
      ['Set-Cookie', 'a=1'],
      ['Authorization', 'first'],
      ['set-cookie', 'b=2'],
      ['authorization', 'second'],
    ] as const;
    expect(streamFields(lines)).toEqual({
      'set-cookie': ['a=1', 'b=2'],
      authorization: 'first',
    });
  });

  it('has fields whose names every object inherits', () => {
    const lines = ['constructor', '__proto__', 'toString'].map((name) => [name, '1'] as const);
    expect(Object.entries(streamFields(lines))).toEqual([
      ['constructor', '1'],
      ['__proto__', '1'],
      ['tostring', '1'],
    ]);
  });
});
