import { describe, expect, it } from 'vitest';
import { deflateAnswerFaults } from '../../src/wire/deflate-answer.ts';
import { type Extension, parseExtensions } from '../../src/wire/head.ts';

const one = (text: string): Extension => parseExtensions(`permessage-deflate${text}`)[0]!;

describe('deflateAnswerFaults', () => {
  it.each([
    ['; client_max_window_bits=12', '; client_max_window_bits=10', 'exceeds the offered 10'],
    ['; client_max_window_bits=12', '', 'which was not offered'],
    ['; server_max_window_bits=12', '; server_max_window_bits=10', 'exceeds the offered 10'],
  ])('rejects the answer "%s" to the offer "%s"', (answer, offer, fault) => {
    expect(deflateAnswerFaults(one(answer), one(offer)).join()).toContain(fault);
  });

  it.each([
    ['; client_max_window_bits=10', '; client_max_window_bits=10'],
    ['; client_max_window_bits=15', '; client_max_window_bits'],
    ['', '; client_max_window_bits=8'],
  ])('accepts the answer "%s" to the offer "%s"', (answer, offer) => {
    expect(deflateAnswerFaults(one(answer), one(offer))).toEqual([]);
  });
});

describe('parseExtensions', () => {
  it('unescapes quoted values', () => {
    expect(parseExtensions(String.raw`x; a="es\caped"`)).toEqual([
      { name: 'x', params: [['a', 'escaped']] },
    ]);
  });

  it('rejects a quoted value that is no token after unescaping', () => {
    expect(() => parseExtensions(String.raw`x; a="two\ words"`)).toThrow(/not a valid extension/);
  });
});
