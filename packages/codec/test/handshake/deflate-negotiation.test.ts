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

const plain: DeflateParameters = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

function parse(value: string): ExtensionOffer[] {
  const list = parseExtensions(value);
  if (list === undefined) throw new Error(`malformed in the test: ${value}`);
  return list;
}

function only(value: string): ExtensionOffer {
  const [first] = parse(value);
  return first!;
}

/** In these tables `deflate` is short for `permessage-deflate`. */
const long = (value: string): string => value.replaceAll('deflate', 'permessage-deflate');

function negotiate(offers: string, limits?: DeflateLimits): string | undefined {
  const agreement = negotiateDeflate(parse(long(offers)), limits);
  return agreement && formatExtensions([agreement.answer]).replace('permessage-', '');
}

describe('negotiateDeflate', () => {
  it.each<[string, string, DeflateLimits, string, Partial<DeflateParameters>]>([
    ['a bare offer', 'deflate', {}, 'deflate', {}],
    ['what browsers offer', 'deflate; client_max_window_bits', {}, 'deflate', {}],
    [
      'what gorilla offers',
      'deflate; server_no_context_takeover; client_no_context_takeover',
      {},
      'deflate; server_no_context_takeover; client_no_context_takeover',
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
    ],
    [
      'a bare offer when nothing is to be kept',
      'deflate',
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
      'deflate; server_no_context_takeover; client_no_context_takeover',
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
    ],
    [
      'a limit of the server, echoed',
      'deflate; server_max_window_bits=10',
      {},
      'deflate; server_max_window_bits=10',
      { serverMaxWindowBits: 10 },
    ],
    [
      'a limit of 15, echoed because it must be',
      'deflate; server_max_window_bits=15',
      {},
      'deflate; server_max_window_bits=15',
      {},
    ],
    [
      'a limit of the server that it lowers',
      'deflate; server_max_window_bits=12',
      { serverMaxWindowBits: 9 },
      'deflate; server_max_window_bits=9',
      { serverMaxWindowBits: 9 },
    ],
    [
      'a limit of the server that it keeps',
      'deflate; server_max_window_bits=8',
      { serverMaxWindowBits: 12 },
      'deflate; server_max_window_bits=8',
      { serverMaxWindowBits: 8 },
    ],
    [
      'a server that limits itself unasked',
      'deflate',
      { serverMaxWindowBits: 11 },
      'deflate; server_max_window_bits=11',
      { serverMaxWindowBits: 11 },
    ],
    [
      'a client that may be limited',
      'deflate; client_max_window_bits',
      { clientMaxWindowBits: 12 },
      'deflate; client_max_window_bits=12',
      { clientMaxWindowBits: 12 },
    ],
    ['a client that may not', 'deflate', { clientMaxWindowBits: 12 }, 'deflate', {}],
    [
      'a client that limits itself',
      'deflate; client_max_window_bits=10',
      {},
      'deflate; client_max_window_bits=10',
      { clientMaxWindowBits: 10 },
    ],
    [
      'a client that limits itself less than is wanted',
      'deflate; client_max_window_bits=14',
      { clientMaxWindowBits: 12 },
      'deflate; client_max_window_bits=12',
      { clientMaxWindowBits: 12 },
    ],
    [
      'a limit of 15 that the client offers for itself',
      'deflate; client_max_window_bits=15',
      {},
      'deflate; client_max_window_bits=15',
      {},
    ],
    [
      'a quoted number',
      'deflate; server_max_window_bits="10"',
      {},
      'deflate; server_max_window_bits=10',
      { serverMaxWindowBits: 10 },
    ],
  ])('answers %s', (_, offers, limits, answer, agreed) => {
    expect(negotiate(offers, limits)).toBe(answer);
    const agreement = negotiateDeflate(parse(long(offers)), limits);
    expect(agreement?.parameters).toEqual({ ...plain, ...agreed });
  });

  it('accepts the first of several offers', () => {
    expect(negotiate('deflate; server_max_window_bits=10, deflate')).toBe(
      'deflate; server_max_window_bits=10',
    );
  });

  it.each([
    'server_max_window_bits',
    'server_max_window_bits=7',
    'server_max_window_bits=16',
    'server_max_window_bits=08',
    'server_max_window_bits=1e1',
    'server_max_window_bits=true',
    'server_max_window_bits=-1',
    'server_max_window_bits=+9',
    'server_max_window_bits=1000',
    'server_max_window_bits=10; server_max_window_bits=10',
    'client_max_window_bits=7',
    'client_max_window_bits=16',
    'client_max_window_bits=010',
    'client_max_window_bits; client_max_window_bits=10',
    'server_no_context_takeover=1',
    'client_no_context_takeover=true',
    'client_no_context_takeover; client_no_context_takeover',
    'unknown',
    '__proto__',
    'constructor=1',
    'Server_No_Context_Takeover',
  ])('skips an offer with %s', (params) => {
    expect(negotiate(`deflate; ${params}`)).toBeUndefined();
    expect(negotiate(`deflate; ${params}, deflate; client_max_window_bits`)).toBe('deflate');
  });

  it.each(['', 'x-webkit-deflate-frame', 'Permessage-Deflate', '__proto__', 'constructor, foo'])(
    'finds nothing to take in %j',
    (offers) => {
      expect(negotiateDeflate(parse(offers))).toBeUndefined();
    },
  );

  it.each<DeflateLimits>([
    { serverMaxWindowBits: 7 },
    { serverMaxWindowBits: 16 },
    { clientMaxWindowBits: 9.5 },
    { clientMaxWindowBits: Number.NaN },
    { clientMaxWindowBits: '9' as never },
  ])('rejects the limit %j', (limits) => {
    expect(() => negotiateDeflate([], limits)).toThrow(RangeError);
    expect(() => offerDeflate(limits)).toThrow(RangeError);
  });
});

describe('offerDeflate', () => {
  it.each<[DeflateLimits, string, fallback?: string]>([
    [{}, 'deflate; client_max_window_bits'],
    [{ clientMaxWindowBits: 10 }, 'deflate; client_max_window_bits=10'],
    [
      { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 9 },
      'deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9',
      'deflate; server_max_window_bits=9',
    ],
    [
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
      'deflate; server_no_context_takeover; client_no_context_takeover',
      'deflate',
    ],
    [
      { clientNoContextTakeover: true, clientMaxWindowBits: 15 },
      'deflate; client_no_context_takeover; client_max_window_bits',
      'deflate; client_max_window_bits',
    ],
    [
      { serverNoContextTakeover: true },
      'deflate; server_no_context_takeover; client_max_window_bits',
      'deflate; client_max_window_bits',
    ],
  ])('offers %j', (limits, offer, fallback?: string) => {
    const offered = offerDeflate(limits);
    expect(formatExtensions([offered])).toBe(long(offer));
    expect(offered.fallback && formatExtensions([offered.fallback])).toBe(
      fallback && long(fallback),
    );
  });
});

describe('acceptDeflate', () => {
  it.each<[string, string, string, Partial<DeflateParameters>]>([
    ['a bare answer', 'deflate', 'deflate', {}],
    [
      'forgetting that was not offered',
      'deflate',
      'deflate; server_no_context_takeover; client_no_context_takeover',
      { serverNoContextTakeover: true, clientNoContextTakeover: true },
    ],
    [
      'a server that limits itself unasked',
      'deflate',
      'deflate; server_max_window_bits=8',
      { serverMaxWindowBits: 8 },
    ],
    [
      'a server that limits itself more than asked',
      'deflate; server_max_window_bits=12',
      'deflate; server_max_window_bits="10"',
      { serverMaxWindowBits: 10 },
    ],
    [
      'a limit that was permitted',
      'deflate; client_max_window_bits',
      'deflate; client_max_window_bits=10',
      { clientMaxWindowBits: 10 },
    ],
    [
      'silence about a limit that binds the client all the same',
      'deflate; client_max_window_bits=10',
      'deflate',
      { clientMaxWindowBits: 10 },
    ],
    [
      'a greater limit than the client keeps to',
      'deflate; client_max_window_bits=10',
      'deflate; client_max_window_bits=12',
      { clientMaxWindowBits: 10 },
    ],
    [
      'silence about a client that forgets',
      'deflate; client_no_context_takeover',
      'deflate',
      { clientNoContextTakeover: true },
    ],
  ])('accepts %s', (_, offer, response, agreed) => {
    const parameters = acceptDeflate(only(long(response)), parse(long(offer)));
    expect(parameters).toEqual({ ...plain, ...agreed });
  });

  it.each([
    ['deflate', 'foo', 'foo is not permessage-deflate'],
    ['deflate', 'deflate; client_max_window_bits=10', 'client_max_window_bits was not offered'],
    [
      'deflate; client_max_window_bits',
      'deflate; client_max_window_bits',
      'client_max_window_bits without a value',
    ],
    [
      'deflate; client_max_window_bits',
      'deflate; client_max_window_bits=16',
      'bad client_max_window_bits 16',
    ],
    ['deflate', 'deflate; server_max_window_bits', 'server_max_window_bits without a value'],
    ['deflate', 'deflate; server_max_window_bits=7', 'bad server_max_window_bits 7'],
    ['deflate', 'deflate; server_max_window_bits=x', 'bad server_max_window_bits x'],
    ['deflate', 'deflate; server_max_window_bits=010', 'bad server_max_window_bits 010'],
    [
      'deflate; server_max_window_bits=10',
      'deflate; server_max_window_bits=11',
      'server_max_window_bits above the offered 10',
    ],
    [
      'deflate; server_max_window_bits=10',
      'deflate',
      'server_max_window_bits above the offered 10',
    ],
    [
      'deflate; server_no_context_takeover',
      'deflate',
      'server_no_context_takeover was offered and not answered',
    ],
    [
      'deflate',
      'deflate; server_no_context_takeover; server_no_context_takeover',
      'repeated parameter',
    ],
    ['deflate', 'deflate; client_no_context_takeover=1', 'client_no_context_takeover with a value'],
    ['deflate', 'deflate; level=9', 'unknown parameter level'],
    ['deflate', 'deflate; __proto__', 'unknown parameter __proto__'],
  ])('rejects, for the offer %j, the answer %j', (offer, response, fault) => {
    const accept = (): DeflateParameters => acceptDeflate(only(long(response)), parse(long(offer)));
    expect(accept).toThrow(ProtocolError);
    expect(accept).toThrow(fault);
  });

  const twice =
    'deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10, deflate';

  it.each<[string, string, Partial<DeflateParameters>]>([
    [twice, 'deflate', {}],
    [twice, 'deflate; client_no_context_takeover', { clientNoContextTakeover: true }],
    [
      twice,
      'deflate; server_no_context_takeover; server_max_window_bits=9',
      {
        serverNoContextTakeover: true,
        clientNoContextTakeover: true,
        serverMaxWindowBits: 9,
      },
    ],
    ['deflate; level=9, deflate; client_max_window_bits=9', 'deflate', { clientMaxWindowBits: 9 }],
    ['x-other, deflate', 'deflate', {}],
  ])('takes of the offers %j the first that fits the answer %j', (offers, response, agreed) => {
    const parameters = acceptDeflate(only(long(response)), parse(long(offers)));
    expect(parameters).toEqual({ ...plain, ...agreed });
  });

  it.each([
    [twice, 'deflate; client_max_window_bits=9', ['client_max_window_bits was not offered']],
    ['x-other', 'deflate', ['permessage-deflate was not offered']],
    ['', 'deflate; x', ['unknown parameter x', 'permessage-deflate was not offered']],
  ])('rejects, for the offers %j, the answer %j', (offers, response, faults) => {
    try {
      acceptDeflate(only(long(response)), parse(long(offers)));
      expect.unreachable();
    } catch (error) {
      expect((error as ProtocolError).faults).toEqual(faults);
    }
  });

  it('names every fault', () => {
    const response = only(long('deflate; a; server_max_window_bits=99; client_max_window_bits=9'));
    try {
      acceptDeflate(response, parse(long('deflate')));
      expect.unreachable();
    } catch (error) {
      expect((error as ProtocolError).closeCode).toBe(1002);
      expect((error as ProtocolError).faults).toEqual([
        'unknown parameter a',
        'bad server_max_window_bits 99',
        'server_max_window_bits above the offered 15',
        'client_max_window_bits was not offered',
      ]);
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
