import { constants, inflateRawSync } from 'node:zlib';
import { hex, pakoInflate, toHex } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FixedDeflater, roomToDeflate } from '../../src/deflate/fixed-deflater.ts';

const TAIL = hex('00 00 ff ff');
const NOTHING = new Uint8Array(0);
/** Fills the memory around input and output. */
const CANARY = 0xa5;

/** Compresses a message that lies within other bytes. */
function deflated(deflater: FixedDeflater, message: Uint8Array, windowBits = 15): Buffer {
  const input = Buffer.concat([Buffer.alloc(7, CANARY), message, Buffer.alloc(7, CANARY)]);
  const room = roomToDeflate(message.length);
  const output = Buffer.alloc(room + 20, CANARY);
  const size = deflater.deflate(input, 7, 7 + message.length, output, windowBits);
  expect(output.subarray(room).equals(Buffer.alloc(20, CANARY))).toBe(true);
  expect(size).toBeLessThanOrEqual(storedSize(message.length));
  return output.subarray(0, size);
}

/** Inflates one message without context, as RFC 7692, section 7.2.2, describes. */
function inflated(payload: Uint8Array): Buffer {
  const finishFlush = constants.Z_SYNC_FLUSH;
  return inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush });
}

/** Stored blocks of at most 65,535 bytes with headers of five, and the byte of an empty block. */
function storedSize(size: number): number {
  return size + 5 * Math.ceil(size / 65_535) + 1;
}

/** Calls a pseudo-random generator for each byte. */
function noise(size: number, seed: number): Buffer {
  let state = seed;
  const next = (): number => (state = (state * 75 + 74) % 65_537) & 0xff;
  return Buffer.alloc(size).map(next) as Buffer;
}

function json(size: number, seed: number): Buffer {
  let text = '';
  for (let i = seed; text.length < size; i += 7) {
    text += `{"id":${i * 7919},"user":"user${i % 97}","price":${(i * 31) % 1000},"é":"α"},`;
  }
  return Buffer.from(text).subarray(0, size);
}

const anySize = fc.oneof(
  fc.integer({ min: 0, max: 600 }),
  fc.integer({ min: 0, max: 70_000 }),
  fc.constantFrom(0, 1, 2, 3, 4, 257, 258, 259, 65_534, 65_535, 65_536, 69_999, 70_000),
);

const anyMessage: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
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

describe('FixedDeflater', () => {
  it('compresses messages that zlib inflates one by one, in at most the size of stored blocks', () => {
    const deflater = new FixedDeflater();
    fc.assert(
      fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 4 }), (messages) => {
        for (const message of messages) {
          expect(inflated(deflated(deflater, message)).equals(message)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('produces the example of RFC 7692, section 7.2.3.1', () => {
    expect(toHex(deflated(new FixedDeflater(), Buffer.from('Hello')))).toBe('f2 48 cd c9 c9 07 00');
  });

  it('compresses an empty message to the one byte of RFC 7692, section 7.2.3.6', () => {
    const deflater = new FixedDeflater();
    for (let i = 0; i < 3; i++) expect(toHex(deflated(deflater, NOTHING))).toBe('00');
  });

  it('writes random bytes as stored blocks', () => {
    const deflater = new FixedDeflater();
    for (const size of [500, 65_535, 65_536, 70_000]) {
      const message = noise(size, 3).map((byte) => byte | 0x90);
      const payload = deflated(deflater, message);
      expect(payload.length).toBe(storedSize(size));
      expect(payload[0]).toBe(0);
      expect(inflated(payload).equals(message)).toBe(true);
    }
  });

  it('writes every length and every kind of distance', () => {
    const deflater = new FixedDeflater();
    for (let length = 3; length <= 260; length++) {
      const part = noise(length, length);
      const message = Buffer.concat([part, Buffer.of(1, 2, 3, 4), part]);
      expect(inflated(deflated(deflater, message)).equals(message)).toBe(true);
    }
    const part = Buffer.from('éàü');
    for (let power = 8; power <= 32_768; power *= 2) {
      for (const distance of [power, power + 1, power * 1.25, power * 1.5, power * 1.5 + 1]) {
        const message = Buffer.concat([part, Buffer.alloc(distance - part.length), part]);
        expect(inflated(deflated(deflater, message)).equals(message)).toBe(true);
      }
    }
  });

  it.each([8, 9, 10, 12, 15])('refers back at most 2 ^ %i bytes', (windowBits) => {
    const deflater = new FixedDeflater();
    const window = 1 << windowBits;
    for (const distance of [window - 1, window, window + 1, 2 * window]) {
      const unit = noise(distance, distance);
      const message = Buffer.concat([unit, unit]);
      const payload = deflated(deflater, message, windowBits);
      const back = pakoInflate(Buffer.concat([payload, TAIL]), NOTHING, windowBits);
      expect(back.equals(message)).toBe(true);
      // Over longer distances, later bytes take the slots of the hash table.
      if (distance <= Math.min(window, 512))
        expect(payload.length).toBeLessThan(message.length * 0.9);
    }
  });

  it('never refers to an earlier message, also when its positions start again', () => {
    const message = json(300, 1);
    const alone = deflated(new FixedDeflater(), message);
    for (const base of [1, 2 ** 31 - 1_000, 2 ** 31 - 601, 2 ** 31 - 600, 2 ** 31 - 301]) {
      const deflater = new FixedDeflater(base);
      for (let i = 0; i < 5; i++) {
        expect(deflated(deflater, message).equals(alone)).toBe(true);
        expect(deflated(deflater, json(200, 1)).length).toBeGreaterThan(50);
      }
    }
  });

  it('has no byte of a message in the next one', () => {
    const deflater = new FixedDeflater(2 ** 31 - 5_000);
    for (let i = 0; i < 50; i++) {
      deflated(deflater, Buffer.from(`the secret ${i} of another connection`));
      const message = Buffer.from(`the secret ${i} of`);
      expect(deflated(deflater, message).equals(deflated(new FixedDeflater(), message))).toBe(true);
    }
  });
});
