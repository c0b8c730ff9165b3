import { deflateWith, historyOf, inflateWith } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { handleEngines, oneshotEngines } from '../../src/deflate/engines.ts';

const handle = handleEngines();
const text = Buffer.from(
  '{"one": 1, "two": 22, "three": 333, "four": 4444, "five": 55555} '.repeat(4),
);

/** A compressed message for each of some levels, and one in two blocks. */
const messages = [1, 6, -2, 0].flatMap((level) => {
  const deflater = handle.deflater(level, 15);
  return [text.length, 100].map((piece) => {
    deflater.reset(undefined);
    return deflateWith(deflater, text, { pieces: [piece] }).subarray(0, -4);
  });
});

describe('the handle and the documented functions of zlib', () => {
  it('agree about a message with any one byte changed', () => {
    const engines = [handle.inflater(), oneshotEngines.inflater()];
    let whole = 0;
    let corrupt = 0;
    for (const message of messages) {
      for (let at = 0; at < message.length; at++) {
        for (const flip of [0x01, 0x80, 0xff]) {
          const broken = Buffer.from(message);
          broken[at]! ^= flip;
          const [one, other] = engines.map((engine) => {
            engine.limit = 1_000_000;
            engine.reset(undefined);
            return inflateWith(engine, broken);
          });
          expect([at, flip, one!.verdict]).toEqual([at, flip, other!.verdict]);
          // An engine returns the bytes before the fault as far as it got.
          if (one!.verdict === 'whole') expect(one!.plain.equals(other!.plain)).toBe(true);
          if (one!.verdict === 'whole') whole++;
          else corrupt++;
        }
      }
    }
    expect(Math.min(whole, corrupt)).toBeGreaterThan(100);
  });

  it('agree about any bytes, in any pieces, before and after other messages', () => {
    const engines = [handle.inflater(), oneshotEngines.inflater()];
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 70 }),
        (all, piece, room) => {
          const [one, other] = engines.map((engine) => {
            engine.limit = 1_000_000;
            engine.reset(historyOf(text));
            const found: unknown[] = [];
            let before: Uint8Array = text;
            for (const bytes of all) {
              const portions = { pieces: [piece], rooms: [room] };
              const { verdict, plain } = inflateWith(engine, bytes, portions, before);
              found.push(verdict === 'whole' ? plain.toString('hex') : verdict);
              if (verdict !== 'whole') break;
              before = Buffer.concat([before, plain]);
            }
            return found;
          });
          expect(one).toEqual(other);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('inflate each other’s streams, with alternating messages', () => {
    const lines = [
      { deflater: handle.deflater(6, 12), inflater: oneshotEngines.inflater() },
      { deflater: oneshotEngines.deflater(6, 12), inflater: handle.inflater() },
    ];
    for (const { deflater, inflater } of lines) {
      deflater.reset(undefined);
      inflater.limit = 10_000;
      inflater.reset(undefined);
      for (let i = 1; i < 200; i++) {
        const plain = Buffer.concat([text.subarray(i), Buffer.from(String(i * i))]);
        const message = deflateWith(deflater, plain).subarray(0, -4);
        expect(inflateWith(inflater, message).plain.equals(plain)).toBe(true);
        // A fault is reported once.
        if (i > 1) expect(message.length).toBeLessThan(40);
      }
    }
  });
});
