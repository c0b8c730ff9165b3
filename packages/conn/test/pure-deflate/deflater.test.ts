import { deflateWith, hex, historyOf, inflateWith, pakoInflate, toHex } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Deflater } from '../../src/index.ts';
import { pureDeflate } from '../../src/pure-deflate/index.ts';

const TAIL = hex('00 00 ff ff');
const NOTHING = new Uint8Array(0);
const CHUNK = 32_768;

function deflater(windowBits = 15): Deflater {
  const engine = pureDeflate.deflater(1, windowBits);
  engine.reset(undefined);
  return engine;
}

/** Compresses a message as it is sent: without its tail. */
function deflated(engine: Deflater, message: Uint8Array): Buffer {
  const stream = deflateWith(engine, message);
  expect(stream.length).toBeLessThanOrEqual(storedSize(message.length));
  expect(toHex(stream.subarray(-4))).toBe('00 00 ff ff');
  return stream.subarray(0, -4);
}

/** Inflates messages that may refer to those before. */
function inflated(payloads: readonly Uint8Array[], windowBits = 15): Buffer {
  const stream = payloads.flatMap((payload) => [payload, TAIL]);
  return pakoInflate(Buffer.concat(stream), NOTHING, windowBits);
}

/** Size of a message whose chunks are stored blocks, each with an empty block after it. */
function storedSize(size: number): number {
  return size + 10 * Math.ceil(size / CHUNK);
}

/** Calls a pseudo-random generator for each byte. */
function noise(size: number, seed: number): Buffer {
  let state = seed;
  const next = (): number => (state = (state * 75 + 74) % 65_537) & 0xff;
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = next();
  return bytes;
}

function json(size: number, seed: number): Buffer {
  let text = '';
  for (let i = seed; text.length < size; i += 7) {
    text += `{"id":${i * 7919},"user":"user${i % 97}","price":${(i * 31) % 1000},"é":"α"},`;
  }
  return Buffer.from(text).subarray(0, size);
}

const anySize = fc.oneof(
  fc.integer({ min: 1, max: 600 }),
  fc.integer({ min: 1, max: 70_000 }),
  fc.constantFrom(1, 2, 3, 4, 257, 258, 259, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 70_000),
);

const anyMessage: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 300 }),
  fc.tuple(anySize, fc.nat(65_536)).map(([size, seed]) => noise(size, seed)),
  fc.tuple(anySize, fc.nat(1000)).map(([size, seed]) => json(size, seed)),
  fc
    .tuple(anySize, fc.uint8Array({ minLength: 1, maxLength: 400 }))
    .map(([size, unit]) => Buffer.alloc(size, unit)),
  // Matches at a distance.
  fc
    .tuple(fc.integer({ min: 1, max: 33_000 }), fc.nat(65_536), fc.uint8Array({ maxLength: 300 }))
    .map(([size, seed, part]) => Buffer.concat([part, noise(size, seed), part])),
);

describe('PureDeflater', () => {
  it('compresses messages for pako, alone and after others, in at most the size of stored blocks', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 15 }),
        fc.boolean(),
        fc.array(anyMessage, { minLength: 1, maxLength: 6 }),
        (windowBits, alone, messages) => {
          const engine = deflater(windowBits);
          const payloads = messages.map((message) => {
            if (alone) engine.reset(undefined);
            return deflated(engine, message);
          });
          const plain = alone
            ? payloads.map((payload) => inflated([payload], windowBits))
            : [inflated(payloads, windowBits)];
          expect(Buffer.concat(plain).equals(Buffer.concat(messages))).toBe(true);
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 8) },
    );
  });

  it('produces the example of RFC 7692, section 7.2.3.1', () => {
    expect(toHex(deflated(deflater(), Buffer.from('Hello')))).toBe('f2 48 cd c9 c9 07 00');
  });

  it('stores random bytes', () => {
    for (const size of [500, CHUNK, CHUNK + 500, 70_000]) {
      const engine = deflater();
      const message = noise(size, 3).map((byte) => byte | 0x90);
      const payload = deflated(engine, message);
      expect(payload.length + TAIL.length).toBe(storedSize(size));
      expect(payload[0]).toBe(0);
      expect(inflated([payload]).equals(message)).toBe(true);
    }
  });

  it('writes every length and every kind of distance', () => {
    const engine = deflater();
    const inflater = pureDeflate.inflater();
    const check = (message: Buffer): void => {
      engine.reset(undefined);
      inflater.reset(undefined);
      expect(inflateWith(inflater, deflated(engine, message)).plain.equals(message)).toBe(true);
    };
    for (let length = 3; length <= 260; length++) {
      const part = noise(length, length);
      check(Buffer.concat([part, Buffer.of(1, 2, 3, 4), part]));
    }
    const part = Buffer.from('éàü');
    for (let power = 8; power <= 32_768; power *= 2) {
      for (const distance of [power, power + 1, power * 1.25, power * 1.5, power * 1.5 + 1]) {
        check(Buffer.concat([part, Buffer.alloc(distance - part.length), part]));
      }
    }
  });

  it.each([8, 9, 10, 12, 15])('refers back at most 2 ^ %i bytes', (windowBits) => {
    const window = 1 << windowBits;
    for (const distance of [window - 1, window, window + 1, 2 * window]) {
      const unit = noise(distance, distance);
      const message = Buffer.concat([unit, unit]);
      const payload = deflated(deflater(windowBits), message);
      expect(inflated([payload], windowBits).equals(message)).toBe(true);
      // Over longer distances, later bytes take the slots of the hash table.
      if (distance <= Math.min(window, 512))
        expect(payload.length).toBeLessThan(message.length * 0.9);
    }
  });

  it('refers to the messages since its reset, also after many of them', () => {
    const engine = deflater();
    const messages = Array.from({ length: 300 }, (_, i) => json(900, i % 3));
    const payloads = messages.map((message) => deflated(engine, message));
    for (const payload of payloads.slice(3)) {
      expect(payload.length).toBeLessThan(payloads[0]!.length / 5);
    }
    expect(inflated(payloads).equals(Buffer.concat(messages))).toBe(true);
  });

  it('refers to the history of its reset', () => {
    const engine = deflater();
    const history = json(CHUNK, 1);
    engine.reset(historyOf(history));
    const message = history.subarray(-1_000);
    const payload = deflated(engine, message);
    expect(payload.length).toBeLessThan(40);
    const plain = pakoInflate(Buffer.concat([payload, TAIL]), history, 15);
    expect(plain.equals(message)).toBe(true);
  });

  it('has no byte from before its reset in a message', () => {
    const engine = deflater();
    for (let i = 0; i < 50; i++) {
      deflated(engine, Buffer.from(`the secret ${i} of another connection`));
      engine.reset(undefined);
      const message = Buffer.from(`the secret ${i} of`);
      expect(deflated(engine, message).equals(deflated(deflater(), message))).toBe(true);
    }
  });
});
