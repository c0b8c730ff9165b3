import { constants, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Context, type Corpus, makeCorpus } from '../../src/load/corpus.ts';
import { EchoCheck } from '../../src/load/echo-check.ts';

interface Echo {
  payload: Buffer;
  compressed: boolean;
}

function corpus(context: Context): Corpus {
  return makeCorpus({ size: 200, count: 5, context, windowBits: 15 });
}

/** The client's messages, unmasked, as correct echoes. */
function echoes({ frames: { bytes, offsets }, count, context }: Corpus): Echo[] {
  return Array.from({ length: count }, (_, i) => {
    const frame = Buffer.from(bytes.subarray(offsets[i], offsets[i + 1]));
    const start = (frame[1]! & 0x7f) === 126 ? 8 : 6;
    const payload = frame.subarray(start).map((byte, at) => byte ^ frame[start - 4 + (at & 3)]!);
    return { payload: Buffer.from(payload), compressed: context !== 'none' };
  });
}

function plainEcho({ plain, size }: Corpus, i: number): Echo {
  return { payload: plain.subarray(i * size, (i + 1) * size), compressed: false };
}

describe('makeCorpus', () => {
  it('creates messages that all differ', () => {
    const { plain, size, count } = corpus('none');
    const texts = Array.from({ length: count }, (_, i) =>
      plain.toString('latin1', i * size, (i + 1) * size),
    );
    expect(new Set(texts).size).toBe(count);
  });

  it('refers back to earlier messages with context takeover only', () => {
    const last = (context: Context): number => echoes(corpus(context))[4]!.payload.length;
    expect(last('takeover')).toBeLessThan(last('shared'));
  });
});

describe('EchoCheck', () => {
  it.each(['none', 'shared', 'takeover'] as const)(
    'accepts correct echoes, context %s',
    (context) => {
      const sent = corpus(context);
      const check = new EchoCheck(sent);
      const compressed = context === 'none' ? 0 : 5;
      expect(check.check(echoes(sent))).toEqual({ messages: 5, compressed });
      // The connection sends the same messages again.
      expect(check.check(echoes(sent))).toEqual({ messages: 5, compressed });
    },
  );

  it('continues with the context of the last check', () => {
    const sent = corpus('takeover');
    const check = new EchoCheck(sent);
    const all = echoes(sent);
    check.check(all.slice(0, 2));
    expect(check.check(all.slice(2))).toEqual({ messages: 3, compressed: 3 });
  });

  it.each(['shared', 'takeover'] as const)(
    'accepts uncompressed echoes among compressed ones, context %s',
    (context) => {
      const sent = corpus(context);
      const mixed = echoes(sent);
      // With takeover the first message must be compressed: the others refer back to it.
      if (context === 'shared') mixed[0] = plainEcho(sent, 0);
      mixed[4] = plainEcho(sent, 4);
      expect(new EchoCheck(sent).check(mixed).messages).toBe(5);
    },
  );

  it.each(['none', 'shared', 'takeover'] as const)(
    'detects a wrong echo, context %s',
    (context) => {
      const sent = corpus(context);
      const [first, second] = echoes(sent);
      expect(() => new EchoCheck(sent).check([second!, first!])).toThrow();
      const wrong = Buffer.from(sent.plain.subarray(0, sent.size));
      wrong[100]! ^= 1;
      const bad = { payload: wrong, compressed: false };
      expect(() => new EchoCheck(sent).check([bad])).toThrow('an echo differs');
    },
  );

  it('detects a reference to an earlier message without context takeover', () => {
    const check = new EchoCheck(corpus('shared'));
    expect(() => check.check(echoes(corpus('takeover')))).toThrow();
  });

  it('detects a compressed message without an agreement', () => {
    const sent = corpus('none');
    const compressed = deflateRawSync(sent.plain.subarray(0, sent.size), {
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    const echo = { payload: compressed.subarray(0, -4), compressed: true };
    expect(() => new EchoCheck(sent).check([echo])).toThrow('without an agreement');
  });
});
