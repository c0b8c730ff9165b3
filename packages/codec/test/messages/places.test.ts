import {
  BinaryMessage,
  BORROWED,
  encodeFrame,
  LEASED,
  MESSAGE,
  MessageBuffers,
  MessageDecoder,
  type MessageDecoderOptions,
  NEED_MORE,
  OWNED,
  PING,
  STEP,
  sharedMessageBuffers,
  TextMessage,
} from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { buffersMade } from '../buffers-made.ts';
import { bytes, join } from '../support.ts';

const maskKey = 0x37fa213d;
const frame = (type: number, payload: Uint8Array, options: object = {}): Uint8Array =>
  encodeFrame(type, payload, { maskKey, ...options });

function decoderOf(options: Partial<MessageDecoderOptions> = {}): MessageDecoder {
  return new MessageDecoder({ role: 'server', ...options });
}

function first(decoder: MessageDecoder): void {
  let event: number;
  while ((event = decoder.next()) === STEP);
  expect(event).toBe(MESSAGE);
}

const view = ({ bytes, start, end }: MessageDecoder): Uint8Array => bytes.subarray(start, end);

describe('U1 MessageDecoder.memory', () => {
  it.each([
    [16, 65_536],
    [1024, 65_536],
    [65_536, 65_536],
    [1024, 700],
  ])('makes no buffer for messages of %d bytes in chunks of %d', (length, size) => {
    const one = frame(BinaryMessage, bytes(length));
    const wire = join(Array<Uint8Array>(40).fill(one));
    const chunk = new Uint8Array(size);
    const decoder = decoderOf();
    const round = (): number => {
      let messages = 0;
      for (let at = 0; at < wire.length; at += size) {
        const part = wire.subarray(at, at + size);
        chunk.set(part);
        decoder.push(chunk, part.length);
        while (decoder.next() === MESSAGE) messages++;
      }
      return messages;
    };
    expect(round()).toBe(40);
    expect(buffersMade(round)).toBe(0);
  });

  it('borrows a message that is whole in its chunk, at its place there', () => {
    const chunk = frame(
      TextMessage,
      bytes(300).map((byte) => byte & 0x7f),
    );
    const decoder = decoderOf();
    decoder.push(chunk);
    first(decoder);
    expect([decoder.bytes, decoder.start, decoder.end]).toEqual([chunk, 8, 308]);
    const copy = decoder.data();
    expect(copy.buffer).not.toBe(chunk.buffer);
    expect([copy.length, copy.buffer.byteLength]).toEqual([300, 300]);
    expect(decoder.takeLease()).toBeUndefined();
  });

  it('changes no chunk of a server', () => {
    const chunk = encodeFrame(BinaryMessage, bytes(300));
    const before = chunk.slice();
    const decoder = new MessageDecoder({ role: 'client' });
    decoder.push(chunk);
    first(decoder);
    expect(chunk).toEqual(before);
    expect(view(decoder)).toEqual(bytes(300));
  });

  it.each([BORROWED, LEASED, OWNED] as const)('delivers the same messages with %d', (memory) => {
    const messages = [bytes(0), bytes(1), bytes(130), bytes(5000), bytes(70_000), bytes(20)];
    const wire = join([
      ...messages.map((payload) => frame(BinaryMessage, payload)),
      frame(BinaryMessage, bytes(3), { fin: false }),
      frame(9, bytes(4)),
      frame(0, bytes(5)),
    ]);
    for (const size of [1, 7, 1000, 65_536, wire.length]) {
      const decoder = decoderOf({ memory });
      const seen: Uint8Array[] = [];
      for (let at = 0; at < wire.length; at += size) {
        decoder.push(wire.slice(at, at + size));
        let event: number;
        while ((event = decoder.next()) > NEED_MORE) {
          expect([MESSAGE, PING]).toContain(event);
          const { length } = decoder.end === decoder.start ? decoder.data() : view(decoder);
          expect(length).toBe(decoder.end - decoder.start);
          seen.push(decoder.data());
        }
      }
      const joined = join([bytes(3), bytes(5)]);
      expect(seen).toEqual([...messages, bytes(4), joined]);
    }
  });

  it('lends a message until its lease is released, also after other messages', () => {
    const before = sharedMessageBuffers().lent;
    const decoder = decoderOf({ memory: LEASED });
    const payloads = [bytes(40, 1), bytes(40, 2), bytes(40, 3)];
    decoder.push(join(payloads.map((payload) => frame(BinaryMessage, payload))));
    const taken = payloads.map(() => {
      first(decoder);
      const lease = decoder.takeLease()!;
      return { lease, payload: view(decoder) };
    });
    expect(decoder.next()).toBe(NEED_MORE);
    expect(taken.map(({ payload }) => payload)).toEqual(payloads);
    expect(sharedMessageBuffers().lent).toBe(before + 3);
    for (const { lease } of taken) lease.release();
    expect(sharedMessageBuffers().lent).toBe(before);
  });

  it('U15 ends no later lease by a second release', () => {
    const before = sharedMessageBuffers().lent;
    const decoder = decoderOf({ memory: LEASED });
    const payload = frame(BinaryMessage, bytes(40));
    decoder.push(join([payload, payload]));
    first(decoder);
    const lease = decoder.takeLease()!;
    lease.release();
    first(decoder);
    const later = decoder.takeLease()!;
    lease.release();
    expect(sharedMessageBuffers().lent).toBe(before + 1);
    later.release();
    expect(sharedMessageBuffers().lent).toBe(before);
  });

  it('releases a lease that was not taken at the next call', () => {
    const before = sharedMessageBuffers().lent;
    const decoder = decoderOf({ memory: LEASED });
    decoder.push(frame(BinaryMessage, bytes(40)));
    first(decoder);
    expect(sharedMessageBuffers().lent).toBe(before + 1);
    decoder.next();
    expect(sharedMessageBuffers().lent).toBe(before);
  });

  it('gives an owned message memory of its size, and returns it from data()', () => {
    const decoder = decoderOf({ memory: OWNED });
    decoder.push(join([frame(BinaryMessage, bytes(40)), frame(BinaryMessage, bytes(40, 1))]));
    first(decoder);
    const { bytes: kept } = decoder;
    expect(decoder.data()).toBe(kept);
    first(decoder);
    expect([kept, kept.buffer.byteLength]).toEqual([bytes(40), 40]);
  });

  it('may change between two messages', () => {
    const decoder = decoderOf();
    const one = frame(BinaryMessage, bytes(40));
    const chunk = join([one, one, one]);
    decoder.push(chunk);
    first(decoder);
    expect(decoder.bytes).toBe(chunk);
    decoder.memory = OWNED;
    first(decoder);
    expect(decoder.bytes.length).toBe(40);
    decoder.memory = LEASED;
    first(decoder);
    expect(decoder.takeLease()!.bytes).toBe(decoder.bytes);
  });

  it('joins messages in the buffers of the option, and gives them back', () => {
    const buffers = new MessageBuffers({ simd: false });
    const shared = sharedMessageBuffers().lent;
    const decoder = decoderOf({ buffers });
    const wire = frame(BinaryMessage, bytes(9000));
    decoder.push(wire.slice(0, 5000));
    expect([decoder.next(), buffers.lent]).toEqual([NEED_MORE, 1]);
    decoder.push(wire.slice(5000));
    first(decoder);
    expect([buffers.lent, sharedMessageBuffers().lent]).toEqual([1, shared]);
    expect(view(decoder)).toEqual(bytes(9000));
    decoder.next();
    expect(buffers.lent).toBe(0);
    decoder.push(wire.slice(0, 5000));
    decoder.next();
    decoder.destroy();
    expect(buffers.lent).toBe(0);
  });

  it.each([
    [{ memory: 3 }, 'memory: expected BORROWED, LEASED or OWNED, got 3'],
    [{ buffers: {} }, 'buffers: expected a MessageBuffers, got Object'],
  ])('rejects the options %j', (options, text) => {
    expect(() => decoderOf(options as never)).toThrow(new TypeError(text));
  });

  it('returns STEP after a frame without an event once `stopAt` frames have arrived', () => {
    const decoder = decoderOf();
    const part = frame(0, bytes(1), { fin: false });
    decoder.push(join([frame(BinaryMessage, bytes(1), { fin: false }), part, part, part]));
    decoder.stopAt = 2;
    expect([decoder.next(), decoder.framesIn]).toEqual([STEP, 2]);
    decoder.stopAt = Infinity;
    expect([decoder.next(), decoder.framesIn]).toEqual([NEED_MORE, 4]);
  });

  it('fails with 1008 after `maxEmptyFragments` empty fragments', () => {
    const decoder = decoderOf({ maxEmptyFragments: 2 });
    const empty = frame(0, bytes(0), { fin: false });
    decoder.push(join([frame(BinaryMessage, bytes(0), { fin: false }), empty, empty]));
    decoder.next();
    expect(decoder.error?.closeCode).toBe(1008);
  });
});
