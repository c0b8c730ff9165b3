import {
  acceptDeflate,
  type DeflateLimits,
  type DeflateParameters,
  type ExtensionOffer,
  formatExtensions,
  negotiateDeflate,
  offerDeflate,
  ProtocolError,
  parseExtensions,
} from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

function parse(value: string): ExtensionOffer[] {
  const list = parseExtensions(value);
  if (list === undefined) throw new Error(`malformed in the test: ${value}`);
  return list;
}

function only(value: string): ExtensionOffer {
  const [first] = parse(value);
  return first!;
}

/** What the tables have in short. */
const NAMES = {
  pmd: 'permessage-deflate',
  s_reset: 'server_no_context_takeover',
  c_reset: 'client_no_context_takeover',
  s_bits: 'server_max_window_bits',
  c_bits: 'client_max_window_bits',
};

function long(value: string): string {
  return value.replaceAll(/(?<![a-z-])(?:pmd|[sc]_(?:reset|bits))/g, (name) => {
    return NAMES[name as keyof typeof NAMES];
  });
}

/** Parameters in short. A reset is no context takeover. */
type Short = { sReset?: boolean; cReset?: boolean; sBits?: number; cBits?: number };

function inFull({ sReset, cReset, sBits, cBits }: Short): DeflateLimits {
  return {
    serverNoContextTakeover: sReset,
    clientNoContextTakeover: cReset,
    serverMaxWindowBits: sBits,
    clientMaxWindowBits: cBits,
  };
}

const withDefaults = ({ sReset = false, cReset = false, sBits = 15, cBits = 15 }: Short) =>
  inFull({ sReset, cReset, sBits, cBits });

const shortened = (value: string): string =>
  Object.entries(NAMES).reduce((text, [short, name]) => text.replaceAll(name, short), value);

function negotiate(offers: string, limits?: Short): string | undefined {
  const agreement = negotiateDeflate(parse(long(offers)), limits && inFull(limits));
  return agreement && shortened(formatExtensions([agreement.answer]));
}

describe('negotiateDeflate', () => {
  it.each<[string, string, Short, string, Short]>([
    ['a bare offer', 'pmd', {}, 'pmd', {}],
    ['what browsers offer', 'pmd; c_bits', {}, 'pmd', {}],
    [
      'what gorilla offers',
      'pmd; s_reset; c_reset',
      {},
      'pmd; s_reset; c_reset',
      { sReset: true, cReset: true },
    ],
    [
      'a bare offer when nothing is to be kept',
      'pmd',
      { sReset: true, cReset: true },
      'pmd; s_reset; c_reset',
      { sReset: true, cReset: true },
    ],
    ['a limit of the server, echoed', 'pmd; s_bits=10', {}, 'pmd; s_bits=10', { sBits: 10 }],
    ['a limit of 15, echoed because it must be', 'pmd; s_bits=15', {}, 'pmd; s_bits=15', {}],
    [
      'a limit of the server that it lowers',
      'pmd; s_bits=12',
      { sBits: 9 },
      'pmd; s_bits=9',
      { sBits: 9 },
    ],
    [
      'a limit of the server that it keeps',
      'pmd; s_bits=8',
      { sBits: 12 },
      'pmd; s_bits=8',
      { sBits: 8 },
    ],
    ['a server that limits itself unasked', 'pmd', { sBits: 11 }, 'pmd; s_bits=11', { sBits: 11 }],
    ['a client that may be limited', 'pmd; c_bits', { cBits: 12 }, 'pmd; c_bits=12', { cBits: 12 }],
    ['a client that may not', 'pmd', { cBits: 12 }, 'pmd', {}],
    ['a client that limits itself', 'pmd; c_bits=10', {}, 'pmd; c_bits=10', { cBits: 10 }],
    [
      'a client that limits itself less than is wanted',
      'pmd; c_bits=14',
      { cBits: 12 },
      'pmd; c_bits=12',
      { cBits: 12 },
    ],
    ['a limit of 15 that the client offers for itself', 'pmd; c_bits=15', {}, 'pmd; c_bits=15', {}],
    ['a quoted number', 'pmd; s_bits="10"', {}, 'pmd; s_bits=10', { sBits: 10 }],
  ])('answers %s', (_, offers, limits, answer, agreed) => {
    expect(negotiate(offers, limits)).toBe(answer);
    const agreement = negotiateDeflate(parse(long(offers)), inFull(limits));
    expect(agreement?.parameters).toEqual(withDefaults(agreed));
  });

  it('accepts the first of several offers', () => {
    expect(negotiate('pmd; s_bits=10, pmd')).toBe('pmd; s_bits=10');
  });

  it.each([
    ...'s_bits s_bits=7 s_bits=16 s_bits=08 s_bits=1e1 s_bits=true s_bits=-1 s_bits=+9'.split(' '),
    ...'s_bits=1000 c_bits=7 c_bits=16 c_bits=010 s_reset=1 c_reset=true unknown'.split(' '),
    ...'__proto__ constructor=1 Server_No_Context_Takeover'.split(' '),
    's_bits=10; s_bits=10',
    'c_bits; c_bits=10',
    'c_reset; c_reset',
  ])('skips an offer with %s', (params) => {
    expect(negotiate(`pmd; ${params}`)).toBeUndefined();
    expect(negotiate(`pmd; ${params}, pmd; c_bits`)).toBe('pmd');
  });

  it.each(['', 'x-webkit-deflate-frame', 'Permessage-Deflate', '__proto__', 'constructor, foo'])(
    'finds nothing to take in %j',
    (offers) => {
      expect(negotiateDeflate(parse(offers))).toBeUndefined();
    },
  );

  it.each<Short>([
    { sBits: 7 },
    { sBits: 16 },
    { cBits: 9.5 },
    { cBits: Number.NaN },
    { cBits: '9' as never },
  ])('rejects the limit %j', (limits) => {
    const message = /^(server|client)MaxWindowBits: expected a (whole )?number/;
    expect(() => negotiateDeflate([], inFull(limits))).toThrow(message);
    expect(() => offerDeflate(inFull(limits))).toThrow(message);
  });
});

describe('offerDeflate', () => {
  it.each<[Short, string, fallback?: string]>([
    [{}, 'pmd; c_bits'],
    [{ cBits: 10 }, 'pmd; c_bits=10'],
    [{ sReset: true, cReset: true, sBits: 9 }, 'pmd; s_reset; c_reset; s_bits=9', 'pmd; s_bits=9'],
    [{ sReset: true, cReset: true }, 'pmd; s_reset; c_reset', 'pmd'],
    [{ cReset: true, cBits: 15 }, 'pmd; c_reset; c_bits', 'pmd; c_bits'],
    [{ sReset: true }, 'pmd; s_reset; c_bits', 'pmd; c_bits'],
  ])('offers %j', (limits, offer, fallback?: string) => {
    const offered = offerDeflate(inFull(limits));
    expect(formatExtensions([offered])).toBe(long(offer));
    expect(offered.fallback && formatExtensions([offered.fallback])).toBe(
      fallback && long(fallback),
    );
  });
});

describe('acceptDeflate', () => {
  it.each<[string, string, string, Short]>([
    ['a bare answer', 'pmd', 'pmd', {}],
    [
      'forgetting that was not offered',
      'pmd',
      'pmd; s_reset; c_reset',
      { sReset: true, cReset: true },
    ],
    ['a server that limits itself unasked', 'pmd', 'pmd; s_bits=8', { sBits: 8 }],
    [
      'a server that limits itself more than asked',
      'pmd; s_bits=12',
      'pmd; s_bits="10"',
      { sBits: 10 },
    ],
    ['a limit that was permitted', 'pmd; c_bits', 'pmd; c_bits=10', { cBits: 10 }],
    [
      'silence about a limit that binds the client all the same',
      'pmd; c_bits=10',
      'pmd',
      { cBits: 10 },
    ],
    ['a greater limit than the client keeps to', 'pmd; c_bits=10', 'pmd; c_bits=12', { cBits: 10 }],
    ['silence about a client that forgets', 'pmd; c_reset', 'pmd', { cReset: true }],
  ])('accepts %s', (_, offer, response, agreed) => {
    const parameters = acceptDeflate(only(long(response)), parse(long(offer)));
    expect(parameters).toEqual(withDefaults(agreed));
  });

  it.each([
    ['pmd', 'foo', 'foo is not permessage-deflate'],
    ['pmd', 'pmd; c_bits=10', 'c_bits was not offered'],
    ['pmd; c_bits', 'pmd; c_bits', 'c_bits without a value'],
    ['pmd; c_bits', 'pmd; c_bits=16', 'bad c_bits 16'],
    ['pmd', 'pmd; s_bits', 's_bits without a value'],
    ['pmd', 'pmd; s_bits=7', 'bad s_bits 7'],
    ['pmd', 'pmd; s_bits=x', 'bad s_bits x'],
    ['pmd', 'pmd; s_bits=010', 'bad s_bits 010'],
    ['pmd; s_bits=10', 'pmd; s_bits=11', 's_bits above the offered 10'],
    ['pmd; s_bits=10', 'pmd', 's_bits above the offered 10'],
    ['pmd; s_reset', 'pmd', 's_reset was offered and not answered'],
    ['pmd', 'pmd; s_reset; s_reset', 'repeated parameter'],
    ['pmd', 'pmd; c_reset=1', 'c_reset with a value'],
    ['pmd', 'pmd; level=9', 'unknown parameter level'],
    ['pmd', 'pmd; __proto__', 'unknown parameter __proto__'],
  ])('rejects, for the offer %j, the answer %j', (offer, response, fault) => {
    const accept = (): DeflateParameters => acceptDeflate(only(long(response)), parse(long(offer)));
    expect(accept).toThrow(ProtocolError);
    expect(accept).toThrow(long(fault));
  });

  const twice = 'pmd; s_reset; c_reset; s_bits=10, pmd';

  it.each<[string, string, Short]>([
    [twice, 'pmd', {}],
    [twice, 'pmd; c_reset', { cReset: true }],
    [
      twice,
      'pmd; s_reset; s_bits=9',
      {
        sReset: true,
        cReset: true,
        sBits: 9,
      },
    ],
    ['pmd; level=9, pmd; c_bits=9', 'pmd', { cBits: 9 }],
    ['x-other, pmd', 'pmd', {}],
  ])('takes of the offers %j the first that fits the answer %j', (offers, response, agreed) => {
    const parameters = acceptDeflate(only(long(response)), parse(long(offers)));
    expect(parameters).toEqual(withDefaults(agreed));
  });

  it.each([
    [twice, 'pmd; c_bits=9', ['c_bits was not offered']],
    ['x-other', 'pmd', ['pmd was not offered']],
    ['', 'pmd; x', ['unknown parameter x', 'pmd was not offered']],
    [
      'pmd',
      'pmd; a; s_bits=99; c_bits=9',
      [
        'unknown parameter a',
        'bad s_bits 99',
        's_bits above the offered 15',
        'c_bits was not offered',
      ],
    ],
  ])('names every fault, for the offers %j, of the answer %j', (offers, response, faults) => {
    try {
      acceptDeflate(only(long(response)), parse(long(offers)));
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ closeCode: 1002, faults: faults.map(long) });
    }
  });
});

describe('permessage-deflate', () => {
  const bits = fc.option(fc.integer({ min: 8, max: 15 }), { nil: undefined });
  const limits = fc.record({
    serverNoContextTakeover: fc.boolean(),
    clientNoContextTakeover: fc.boolean(),
    serverMaxWindowBits: bits,
    clientMaxWindowBits: bits,
  });

  it('is negotiated in the same words by both ends, and within the wishes of each', () => {
    fc.assert(
      fc.property(limits, limits, (client, server) => {
        const offer = offerDeflate(client);
        const agreement = negotiateDeflate(parse(formatExtensions([offer])), server);
        const answer = only(formatExtensions([agreement!.answer]));
        const agreed = acceptDeflate(answer, [offer]);
        expect(agreed).toEqual(agreement!.parameters);
        for (const side of [client, server]) {
          if (side.serverNoContextTakeover) expect(agreed.serverNoContextTakeover).toBe(true);
          if (side.clientNoContextTakeover) expect(agreed.clientNoContextTakeover).toBe(true);
          expect(agreed.serverMaxWindowBits).toBeLessThanOrEqual(side.serverMaxWindowBits ?? 15);
          // Only an offer with this parameter allows the server to limit the client's window.
          if (side === client || offer.params.has('client_max_window_bits')) {
            expect(agreed.clientMaxWindowBits).toBeLessThanOrEqual(side.clientMaxWindowBits ?? 15);
          }
        }
      }),
    );
  });
});
