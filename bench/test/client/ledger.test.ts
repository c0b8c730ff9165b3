import { describe, expect, it } from 'vitest';
import { Ledger } from '../../src/client/ledger.ts';
import { Messages } from '../../src/client/messages.ts';

const FIRST = 1000;

/** A ledger with `count` sent messages, number `i` at moment `i`, and these messages. */
function sent(count: number, size = 32): { ledger: Ledger; messages: Uint8Array[] } {
  const ledger = new Ledger(new Messages(size, false, false), FIRST);
  const messages = Array.from({ length: count }, (_, i) => ledger.send(i).slice());
  return { ledger, messages };
}

function changed(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
}

describe('Messages', () => {
  it.each([1, 3, 8, 9, 1000])(
    'creates messages of %i bytes that differ from their neighbours',
    (size) => {
      const messages = new Messages(size, false, false);
      const seven = messages.make(7).slice();
      expect(seven).toHaveLength(size);
      expect(messages.matches(7, seven)).toBe(true);
      for (const n of [6, 8]) expect(messages.matches(n, seven)).toBe(false);
    },
  );

  it('creates ASCII text', () => {
    const text = Buffer.from(new Messages(5000, true, false).make(9)).toString('latin1');
    expect(text).toMatch(/^[ -~]{5000}$/);
  });

  it('detects every changed byte', () => {
    const messages = new Messages(40, false, false);
    const one = messages.make(1).slice();
    for (let i = 0; i < 40; i++) expect(messages.matches(1, changed(one, i))).toBe(false);
  });
});

describe('Ledger', () => {
  it.each([0, 1, 2, 32])('accepts echoes of %i bytes in order', (size) => {
    const { ledger, messages } = sent(3, size);
    messages.forEach((message, i) => {
      expect(ledger.inFlight).toBe(3 - i);
      expect(ledger.judge(message, false)).toEqual({ since: i, fault: undefined });
    });
    expect(ledger.inFlight).toBe(0);
    expect(ledger.giveUp(Number.POSITIVE_INFINITY)).toEqual({ missing: [], timeout: [] });
  });

  it('detects a dropped echo when a later one comes', () => {
    const { ledger, messages } = sent(3);
    expect(ledger.judge(messages[2]!, false)).toEqual({ since: 2, fault: undefined });
    expect(ledger.inFlight).toBe(0);
    expect(ledger.giveUp(Number.POSITIVE_INFINITY)).toEqual({ missing: [0, 1], timeout: [] });
  });

  it('detects an echo that comes after a later one', () => {
    const { ledger, messages } = sent(2);
    ledger.judge(messages[1]!, false);
    expect(ledger.judge(messages[0]!, false)).toEqual({ since: 0, fault: 'out of order' });
    expect(ledger.giveUp(Number.POSITIVE_INFINITY)).toEqual({ missing: [], timeout: [] });
  });

  it.each([0, 1])('detects a duplicate with %i other messages in flight', (others) => {
    const { ledger, messages } = sent(1 + others);
    ledger.judge(messages[0]!, false);
    expect(ledger.judge(messages[0]!, false)).toEqual({ since: undefined, fault: 'double' });
    expect(ledger.inFlight).toBe(others);
  });

  it('detects an echo of no message', () => {
    const { ledger } = sent(0);
    expect(ledger.judge(Buffer.from('hi'), false).fault).toBe('extra');
  });

  it.each([
    ['wrong content', (bytes: Uint8Array) => changed(bytes, 0)],
    ['wrong content', (bytes: Uint8Array) => changed(bytes, 31)],
    ['wrong length', (bytes: Uint8Array) => bytes.subarray(1)],
    ['wrong length', (bytes: Uint8Array) => Buffer.concat([bytes, bytes])],
  ])('detects a %s, which takes the place of the expected echo', (fault, spoil) => {
    const { ledger, messages } = sent(2);
    expect(ledger.judge(spoil(messages[0]!), false)).toEqual({ since: undefined, fault });
    expect(ledger.judge(messages[1]!, false)).toEqual({ since: 1, fault: undefined });
  });

  it('detects text instead of binary', () => {
    const { ledger, messages } = sent(1);
    expect(ledger.judge(messages[0]!, true)).toEqual({ since: undefined, fault: 'wrong type' });
  });

  it('gives up an overdue message and ignores its late echo', () => {
    const { ledger, messages } = sent(3);
    expect(ledger.giveUp(1)).toEqual({ missing: [], timeout: [0] });
    expect(ledger.inFlight).toBe(2);
    expect(ledger.judge(messages[0]!, false)).toEqual({ since: undefined, fault: undefined });
    expect(ledger.judge(messages[1]!, false)).toEqual({ since: 1, fault: undefined });
  });

  it.each([1, 4, 8, 32])('ignores thousands of late echoes of %i bytes', (size) => {
    const { ledger, messages } = sent(5000, size);
    expect(ledger.giveUp(5000).timeout).toHaveLength(5000);
    for (const message of messages) {
      expect(ledger.judge(message, false)).toEqual({ since: undefined, fault: undefined });
    }
    expect(ledger.judge(messages.at(-1)!, false).fault).toBe('double');
    expect(ledger.judge(ledger.send(5000).slice(), false)).toEqual({
      since: 5000,
      fault: undefined,
    });
  });

  it('detects a duplicate of a late echo among thousands', () => {
    const { ledger, messages } = sent(5000);
    ledger.giveUp(5000);
    ledger.judge(messages[7]!, false);
    expect(ledger.judge(messages[7]!, false).fault).toBe('double');
  });

  it('accepts an echo older than its memory without counting it', () => {
    const { ledger, messages } = sent(1);
    ledger.giveUp(1);
    for (let n = 1; n <= 2 ** 18; n++) ledger.send(n);
    ledger.giveUp(Number.POSITIVE_INFINITY);
    expect(ledger.judge(messages[0]!, false)).toEqual({ since: undefined, fault: undefined });
    expect(ledger.judge(messages[0]!, false)).toEqual({ since: undefined, fault: undefined });
  });

  it('detects an echo that thousands have overtaken', () => {
    const { ledger, messages } = sent(3000);
    for (const message of messages.slice(1)) ledger.judge(message, false);
    expect(ledger.judge(messages[0]!, false)).toEqual({ since: 0, fault: 'out of order' });
  });
});
