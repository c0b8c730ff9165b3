import {
  encodeFrame,
  FrameDecoder,
  LEASED,
  MessageDecoder,
  type MessageDecoderOptions,
  NEED_MORE,
  OWNED,
  type Role,
} from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { bytes, join } from '../support.ts';

type Resizable = ArrayBuffer & { resize(size: number): void };
const ResizableBuffer = ArrayBuffer as unknown as new (size: number, options: object) => Resizable;

/** The bytes in a buffer that can shrink. */
function shrinkable(wire: Uint8Array) {
  const chunk = new Uint8Array(new ResizableBuffer(wire.length, { maxByteLength: wire.length }));
  chunk.set(wire);
  return chunk;
}

interface Reader {
  push(chunk: Uint8Array): void;
  /** Adds the payloads until the input is parsed. */
  read(payloads: Uint8Array[]): void;
}

function frameReader(role: Role, unmasks = true): Reader {
  const decoder = new FrameDecoder({ role, unmasks });
  return {
    push: (chunk) => decoder.push(chunk),
    read(payloads) {
      while (decoder.next() > NEED_MORE) {
        decoder.unmask();
        payloads.push(decoder.copy());
      }
      expect(decoder.error).toBeUndefined();
    },
  };
}

function messageReader(role: Role, options: Partial<MessageDecoderOptions>): Reader {
  const decoder = new MessageDecoder({ role, ...options });
  return {
    push: (chunk) => decoder.push(chunk),
    read(payloads) {
      while (decoder.next() > NEED_MORE) payloads.push(decoder.data().slice());
      expect(decoder.error).toBeUndefined();
    },
  };
}

const readers: readonly (readonly [string, (role: Role) => Reader])[] = [
  ['FrameDecoder', (role) => frameReader(role)],
  ['FrameDecoder that does not unmask', (role) => frameReader(role, false)],
  ['MessageDecoder', (role) => messageReader(role, {})],
  ['MessageDecoder, LEASED', (role) => messageReader(role, { memory: LEASED })],
  ['MessageDecoder, OWNED', (role) => messageReader(role, { memory: OWNED })],
  ['MessageDecoder with its chunks', (role) => messageReader(role, { ownsChunks: true })],
  ['MessageDecoder without checks', (role) => messageReader(role, { checksText: false })],
];

describe.each(readers)('U5 %s and a chunk that shrinks after `push`', (_name, make) => {
  describe.each(['server', 'client'] as const)('of a %s', (role) => {
    const frame = (length: number, type = 1): Uint8Array => {
      const payload = bytes(length).map((byte) => byte & 0x7f);
      return encodeFrame(type, payload, role === 'server' ? { maskKey: 0x11223344 } : {});
    };
    const expected = (...lengths: number[]): Uint8Array[] =>
      lengths.map((length) => bytes(length).map((byte) => byte & 0x7f));

    it('throws at the first frame that lacks bytes, and delivers those before', () => {
      const wire = join([frame(5), frame(0), frame(130, 2), frame(3)]);
      const whole = expected(5, 0, 130, 3);
      for (const first of [0, 1, 2, 5, 9]) {
        for (let left = 0; left < wire.length - first; left++) {
          const reader = make(role);
          const payloads: Uint8Array[] = [];
          reader.push(wire.slice(0, first));
          reader.read(payloads);
          const chunk = shrinkable(wire.subarray(first));
          reader.push(chunk);
          chunk.buffer.resize(left);
          expect(() => reader.read(payloads)).toThrow(TypeError);
          expect(payloads).toEqual(whole.slice(0, payloads.length));
        }
      }
    });

    it.each([11, 100, 1000, 5000, 20_000, 100_000, 300_000])(
      'throws for a frame of %d bytes, whole or not',
      (length) => {
        for (const part of [1, 0.5]) {
          const wire = frame(length, 2);
          const chunk = shrinkable(wire.subarray(0, Math.ceil(wire.length * part)));
          const reader = make(role);
          reader.push(chunk);
          chunk.buffer.resize(Math.min(20, chunk.length - 1));
          expect(() => reader.read([])).toThrow(/has shrunk|detached/);
        }
      },
    );

    it('reads a chunk that has grown as it was pushed', () => {
      const wire = join([frame(5), frame(130)]);
      const buffer = new ResizableBuffer(wire.length, { maxByteLength: 1000 });
      // It tracks the length of its buffer.
      const chunk = new Uint8Array(buffer);
      chunk.set(wire);
      const reader = make(role);
      const payloads: Uint8Array[] = [];
      reader.push(wire.slice(0, 1));
      reader.read(payloads);
      reader.push(chunk.subarray(1));
      buffer.resize(1000);
      reader.read(payloads);
      expect(payloads).toEqual(expected(5, 130));
    });
  });
});

describe('U5 MessageDecoder', () => {
  it.each(['keep', 'rest'] as const)('throws in `%s` for a chunk that has shrunk', (method) => {
    const decoder = new MessageDecoder({ role: 'client' });
    const chunk = shrinkable(join([encodeFrame(2, bytes(5)), encodeFrame(2, bytes(50))]));
    decoder.push(chunk);
    decoder.next();
    chunk.buffer.resize(20);
    expect(() => decoder[method]()).toThrow(/has shrunk/);
  });
});
