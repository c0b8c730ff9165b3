import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { implementations } from './trace.ts';

interface Parsers {
  extension: { parse(header: string): unknown; format(extensions: unknown): string };
  subprotocol: { parse(header: string): Set<string> };
}

const { ws, compat } = implementations as unknown as Record<'ws' | 'compat', Parsers>;

/** Pieces of headers: tokens, separators, quotes, white space, and characters that fit nowhere. */
const pieces = fc.array(
  fc.constantFrom(
    'a',
    'foo',
    'x-1',
    ',',
    ';',
    '=',
    '"',
    '\\',
    ' ',
    '\t',
    '"b"',
    '"\\c"',
    'é',
    '(',
    '',
  ),
  { maxLength: 12 },
);

function outcome(call: () => unknown): unknown {
  try {
    return structuredClone(call());
  } catch (error) {
    return String(error);
  }
}

describe('extension.parse', () => {
  test('returns and throws what that of ws does', () => {
    fc.assert(
      fc.property(pieces, (parts) => {
        const header = parts.join('');
        expect(outcome(() => compat.extension.parse(header))).toEqual(
          outcome(() => ws.extension.parse(header)),
        );
      }),
      { numRuns: 3000 },
    );
  });

  test.each(['__proto__; constructor=1', 'a; __proto__; __proto__=2'])('takes %s', (header) => {
    const read = (parsers: Parsers): string => JSON.stringify(parsers.extension.parse(header));
    expect(read(compat)).toBe(read(ws));
  });
});

describe('extension.format', () => {
  test.each([
    { foo: {} },
    { foo: [{}] },
    { foo: { bar: true, baz: 7 } },
    { foo: [{ bar: ['a', true] }, { baz: 'x' }], qux: {} },
    {},
  ])('writes %j', (extensions) => {
    expect(compat.extension.format(extensions)).toBe(ws.extension.format(extensions));
  });
});

describe('subprotocol.parse', () => {
  test('returns and throws what that of ws does', () => {
    fc.assert(
      fc.property(pieces, (parts) => {
        const header = parts.join('');
        expect(outcome(() => compat.subprotocol.parse(header))).toEqual(
          outcome(() => ws.subprotocol.parse(header)),
        );
      }),
      { numRuns: 3000 },
    );
  });
});
