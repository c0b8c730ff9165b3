import {
  acceptDeflate,
  type ExtensionOffer,
  formatExtensions,
  isWebSocketKey,
  negotiateDeflate,
  parseExtensions,
  parseSubprotocols,
  parseTokenList,
} from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import { codePoint } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXTENSIONS, TOKENS } from '../oracles/header-fields.ts';
import { brokenInputs, check } from './check.ts';

const shard = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('a', 'b1', ';', ', ', '=', ' ', '\t', '"a"', '"\\a"') },
  { weight: 1, arbitrary: fc.constantFrom('"', '\\', '\0', '\r\n', 'é', '()', '""', '__proto__') },
);
const field = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: shard, maxLength: 24 }) },
  fc.string({ unit: codePoint, maxLength: 40 }),
);

describe('parseExtensions', () => {
  it('accepts what the grammar accepts, within its limits, and reads its own output', () => {
    check(field, 1500, (text) => {
      const read = parseExtensions(text);
      const tooMany = (text.match(/[^,]+/g) ?? []).length > 16 || text.split(';').length > 17;
      if (!tooMany) expect(read !== undefined).toBe(EXTENSIONS.test(text));
      for (const { params, repeated } of read ?? []) {
        expect(params.size).toBeLessThanOrEqual(repeated ? 15 : 16);
      }
      if (read?.every((one) => !one.repeated)) {
        expect(parseExtensions(formatExtensions(read))).toEqual(read);
      }
    });
  });

  it.each(brokenInputs('handshake'))(
    'agrees with the grammar for a past fault: $name',
    ({ text }) => {
      expect(parseExtensions(text) !== undefined).toBe(EXTENSIONS.test(text));
    },
  );
});

describe('parseTokenList', () => {
  it('accepts what the grammar accepts, and hasToken finds each token', () => {
    check(field, 1500, (text) => {
      const tokens = parseTokenList(text);
      expect(tokens !== undefined).toBe(TOKENS.test(text));
      for (const token of tokens ?? []) expect(hasToken(text, token.toUpperCase())).toBe(true);
      const names = parseSubprotocols(text);
      if (names !== undefined) expect(names).toEqual([...new Set(tokens)]);
    });
  });
});

describe('isWebSocketKey', () => {
  // The RFC's own example has spare bits in its last character.
  it('accepts exactly the base64 of 16 bytes, whatever its spare bits are', () => {
    const near = fc.stringMatching(/^[A-Za-z0-9+/]{20,22}[AQgwB=]==?$/);
    check(fc.oneof(near, field), 1500, (key) => {
      const bytes = Buffer.from(key, 'base64');
      const canonical = bytes.toString('base64');
      const same =
        key.length === 24 &&
        key.slice(0, 21) + key.slice(22) === canonical.slice(0, 21) + canonical.slice(22);
      expect(isWebSocketKey(key)).toBe(bytes.length === 16 && same);
    });
  });
});

describe('permessage-deflate', () => {
  const names = [
    'server_no_context_takeover',
    'client_no_context_takeover',
    'server_max_window_bits',
    'client_max_window_bits',
  ];
  const bits = fc.oneof(
    fc.integer({ min: 8, max: 15 }).map(String),
    fc.constantFrom('7', '16', '08'),
  );
  const entry = fc.tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...names) },
      fc.constantFrom('x', '__proto__'),
    ),
    fc.oneof({ weight: 2, arbitrary: fc.constant(true as const) }, bits),
  );
  const offer = fc
    .tuple(fc.constantFrom('permessage-deflate', 'x'), fc.array(entry, { maxLength: 4 }))
    .map(([name, params]): ExtensionOffer => ({ name, params: new Map(params) }));
  const limit = fc.option(fc.integer({ min: 8, max: 15 }), { nil: undefined });
  const limits = fc.record({
    serverNoContextTakeover: fc.boolean(),
    clientNoContextTakeover: fc.boolean(),
    serverMaxWindowBits: limit,
    clientMaxWindowBits: limit,
  });

  it('has an answer that the client of the offer accepts', () => {
    check(fc.tuple(fc.array(offer, { maxLength: 4 }), limits), 1500, ([offers, limits]) => {
      const agreement = negotiateDeflate(offers, limits);
      if (agreement === undefined) return;
      const [answer] = parseExtensions(formatExtensions([agreement.answer]))!;
      const accepted = offers.find((one) => negotiateDeflate([one], limits) !== undefined)!;
      expect(acceptDeflate(answer!, [accepted])).toEqual(agreement.parameters);
    });
  });
});
