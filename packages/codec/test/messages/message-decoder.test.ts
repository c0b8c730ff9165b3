import { hex, naiveEncode, ToyExtension } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  BinaryMessage,
  CHECKED_ONLY,
  CLOSE,
  FAILED,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  MessageDecoder,
  NEED_MORE,
  type PayloadUse,
  PING,
  SKIPPED,
  STEP,
  sharedMessageBuffers,
  TextMessage,
} from '../../src/index.ts';
import { Lease } from '../../src/messages/lease.ts';

const MASK = { mask: 0x01020304 };

/** A frame of a client, which the decoder may change. */
function frame(
  opcode: number,
  payload: Uint8Array | string = '',
  options: object = {},
): Uint8Array {
  return new Uint8Array(naiveEncode(opcode, payload, { ...MASK, ...options }));
}

const textOf = (decoder: MessageDecoder): string => Buffer.from(decoder.data()).toString();

/** A server's decoder. The end of the test releases its memory, which other tests share. */
function decoderOf(use?: PayloadUse): MessageDecoder {
  const decoder = new MessageDecoder({ role: 'server' });
  onTestFinished(() => decoder.destroy());
  if (use !== undefined) decoder.setPayloadUse(use);
  return decoder;
}

describe('MessageDecoder', () => {
  it.each([
    [{ readLimit: -1 }, 'readLimit: expected a number of 0 or more, got -1'],
    [{ readLimit: '5' }, 'readLimit: expected a number of 0 or more, got 5'],
    [{ maxEmptyFragments: NaN }, 'maxEmptyFragments: expected a number of 0 or more, got NaN'],
  ])('throws for %o', (options, message) => {
    const make = () => new MessageDecoder({ role: 'client', ...options } as never);
    expect(make).toThrow(new RangeError(message));
  });

  it('throws for an unknown option', () => {
    const make = () => new MessageDecoder({ role: 'client', readLimits: 5 } as never);
    expect(make).toThrow(
      new TypeError('MessageDecoder: unknown option readLimits; see MessageDecoderOptions'),
    );
  });

  it.each([
    ['a message', frame(BinaryMessage, Buffer.alloc(60_000)), MESSAGE],
    ['a text', frame(TextMessage, 'hello'), MESSAGE],
    ['a ping', frame(9, 'hello'), PING],
  ])('releases the chunk of %s once it is parsed', (_, chunk, event) => {
    const decoder = decoderOf();
    decoder.push(chunk);
    expect(decoder.next()).toBe(event);
    expect(decoder.bytes.length).toBeGreaterThan(0);
    expect(decoder.idle).toBe(false);
    expect(decoder.next()).toBe(NEED_MORE);
    expect([decoder.bytes.length, decoder.assembled, decoder.idle]).toEqual([0, 0, true]);
  });

  it('releases the memory of a message that was not taken, when it is destroyed', () => {
    const decoder = decoderOf();
    const { lent } = sharedMessageBuffers();
    const message = frame(BinaryMessage, Buffer.alloc(5_000));
    decoder.push(message.slice(0, 3_000));
    expect(decoder.next()).toBe(NEED_MORE);
    decoder.push(message.slice(3_000));
    expect([decoder.next(), sharedMessageBuffers().lent]).toEqual([MESSAGE, lent + 1]);
    decoder.destroy();
    decoder.destroy();
    expect(sharedMessageBuffers().lent).toBe(lent);
  });

  it.each([[[0xff]], [[0x61, 0xe2, 0x82]]])(
    'accepts any bytes as the text of a message that is ignored: %s',
    (bytes) => {
      const frames = [true, false].flatMap((fin) => [
        frame(TextMessage, Uint8Array.from(bytes), { fin }),
        ...(fin ? [] : [frame(0, Uint8Array.from(bytes))]),
      ]);
      const decoder = decoderOf(IGNORED);
      decoder.push(new Uint8Array(Buffer.concat([...frames, frame(9)])));
      expect([decoder.next(), decoder.next(), decoder.next()]).toEqual([SKIPPED, SKIPPED, PING]);
    },
  );

  it('is not idle during a message', () => {
    const decoder = decoderOf();
    const first = frame(TextMessage, 'hel', { fin: false });
    decoder.push(new Uint8Array(first.subarray(0, 3)));
    expect([decoder.next(), decoder.idle]).toEqual([NEED_MORE, false]);
    decoder.push(new Uint8Array(first.subarray(3)));
    expect([decoder.next(), decoder.idle]).toEqual([NEED_MORE, false]);
    decoder.push(frame(0, 'lo'));
    expect(decoder.next()).toBe(MESSAGE);
    expect([decoder.next(), decoder.idle]).toEqual([NEED_MORE, true]);
  });

  it('refers to no byte of a chunk after keep()', () => {
    const frames = [
      frame(TextMessage, 'hel', { fin: false }),
      frame(9, 'hello'),
      frame(0, 'lo'),
      frame(BinaryMessage, Buffer.alloc(70_000, 1)),
      frame(TextMessage, 'end'),
    ];
    const all = new Uint8Array(Buffer.concat(frames));
    const before = sharedMessageBuffers().lent;
    for (const size of [1, 7, 1_000, 65_536, all.length]) {
      for (const eager of [true, false]) {
        const decoder = decoderOf();
        const seen: unknown[] = [];
        const read = (): void => {
          for (let event; (event = decoder.next()) > NEED_MORE; ) {
            const data = Buffer.from(decoder.data());
            seen.push(event, data.length > 100 ? data.length : data.toString());
          }
        };
        for (let at = 0; at < all.length; at += size) {
          const chunk = all.slice(at, at + size);
          decoder.push(chunk);
          if (eager) read();
          decoder.keep();
          chunk.fill(0xff);
        }
        read();
        const expected = [PING, 'hello', MESSAGE, 'hello', MESSAGE, 70_000, MESSAGE, 'end'];
        expect(seen).toEqual(expected);
        expect(decoder.idle).toBe(true);
      }
    }
    expect(sharedMessageBuffers().lent).toBe(before);
  });

  it.each([1, 2, 3, 5])('reads at any time between chunks of %d bytes', (size) => {
    const all = frame(TextMessage, 'abcdef');
    const chunks = Math.ceil(all.length / size);
    for (let reads = 0; reads < 1 << chunks; reads++) {
      const decoder = decoderOf();
      let event: number = NEED_MORE;
      for (let i = 0; i < chunks; i++) {
        const chunk = new Uint8Array(all.subarray(i * size, (i + 1) * size));
        decoder.push(chunk);
        if (((reads >> i) & 1) === 1) event = decoder.next();
        if (event === NEED_MORE) decoder.keep();
        chunk.fill(0xff);
      }
      if (event === NEED_MORE) event = decoder.next();
      expect([reads, event, textOf(decoder)]).toEqual([reads, MESSAGE, 'abcdef']);
    }
  });

  it('delivers pieces as they arrive, and the last one says so', () => {
    const decoder = decoderOf();
    const whole = frame(BinaryMessage, 'whole');
    const part = frame(BinaryMessage, 'part', { fin: false });
    const empty = frame(0, Buffer.alloc(0));
    const seen: unknown[] = [];
    for (const chunk of [whole, part.subarray(0, 6), part.subarray(6), empty]) {
      decoder.streaming = true;
      decoder.push(new Uint8Array(chunk));
      for (let event; (event = decoder.next()) > NEED_MORE; ) {
        seen.push([event, textOf(decoder), decoder.fin]);
      }
    }
    expect(seen).toEqual([
      [MESSAGE_BEGIN, 'whole', true],
      [MESSAGE_BEGIN, '', false],
      [MESSAGE_DATA, 'part', false],
      [MESSAGE_DATA, '', true],
    ]);
  });

  it('checks a text whose payload is not wanted', () => {
    const decoder = decoderOf(CHECKED_ONLY);
    decoder.push(frame(TextMessage, 'good'));
    expect([decoder.next(), decoder.next()]).toEqual([SKIPPED, NEED_MORE]);
    decoder.push(frame(TextMessage, Uint8Array.of(0xff)));
    expect([decoder.next(), decoder.next()]).toEqual([FAILED, FAILED]);
    expect(decoder.error?.closeCode).toBe(1007);
  });

  it('lets an extension wait with input that the decoder has copied before', () => {
    const decoder = new MessageDecoder({ role: 'server' });
    const toy = new ToyExtension(0x20, 3);
    let waits = true;
    toy.ready = () => !waits;
    decoder.extension = toy;
    const chunkOf = (text: string, rsv: number): Uint8Array => frame(TextMessage, text, { rsv });
    const first = chunkOf('w-a-i-t-s-', 0x20);
    decoder.push(first);
    decoder.keep();
    first.fill(0xff);
    expect([decoder.next(), decoder.next()]).toEqual([STEP, NEED_MORE]);
    decoder.push(chunkOf('later', 0));
    // What another connection may do meanwhile.
    const other = Lease.acquire(100);
    other.bytes.fill(0xff);
    other.release();
    waits = false;
    const seen: string[] = [];
    for (let event; (event = decoder.next()) > NEED_MORE; ) {
      if (event !== STEP) seen.push(textOf(decoder));
    }
    expect(seen).toEqual(['waits', 'later']);
  });

  it('appends chunks after a frame that was cut between two chunks', () => {
    const decoder = new MessageDecoder({ role: 'client' });
    const ping = naiveEncode(9, Buffer.from('hi'));
    for (const part of [ping.subarray(0, 1), ping.subarray(1)]) {
      decoder.push(new Uint8Array(part));
      decoder.next();
      decoder.keep();
    }
    const seen: string[] = [];
    for (const text of ['AB', 'CD', 'EF']) {
      decoder.push(new Uint8Array(naiveEncode(BinaryMessage, Buffer.from(text))));
      decoder.keep();
    }
    while (decoder.next() > NEED_MORE) seen.push(textOf(decoder));
    expect(seen).toEqual(['AB', 'CD', 'EF']);
  });

  it('delivers a message where it is in the chunk, with ownsChunks', () => {
    const decoder = new MessageDecoder({ role: 'server', ownsChunks: true });
    const text = frame(TextMessage, 'whole');
    const parts = [frame(BinaryMessage, 'ab', { fin: false }), frame(0, 'cd')];
    const chunk = new Uint8Array(Buffer.concat([text, ...parts]));
    decoder.push(chunk);
    expect([decoder.next(), decoder.bytes, decoder.start, decoder.end]).toEqual([
      MESSAGE,
      chunk,
      6,
      11,
    ]);
    expect(Buffer.from(chunk.subarray(6, 11)).toString()).toBe('whole');
    expect([decoder.next(), textOf(decoder)]).toEqual([MESSAGE, 'abcd']);
    expect(decoder.bytes.buffer).not.toBe(chunk.buffer);
    decoder.push(frame(TextMessage, Buffer.of(0xff)));
    expect([decoder.next(), decoder.error?.closeCode]).toEqual([FAILED, 1007]);
  });

  it.each([
    ['of more bytes on the wire than readLimit', {}, MESSAGE],
    ['with limitsWire, fails it', { limitsWire: true }, FAILED],
  ])('takes a message of an extension %s', (_, options, last) => {
    const decoder = new MessageDecoder({ role: 'server', readLimit: 3, ...options });
    decoder.extension = new ToyExtension(0x20, 3);
    decoder.push(frame(BinaryMessage, 'aabb', { rsv: 0x20 }));
    let event: number;
    do event = decoder.next();
    while (event === STEP);
    expect([event, decoder.error?.closeCode]).toEqual([last, last === FAILED ? 1009 : undefined]);
  });

  it('leaves texts to the caller with checksText: false', () => {
    const decoder = new MessageDecoder({ role: 'client', checksText: false });
    const texts = [naiveEncode(TextMessage, Buffer.of(0xff), { fin: false }), hex('80 01 e2')];
    decoder.push(new Uint8Array(Buffer.concat([...texts, hex('81 01 ff')])));
    expect([decoder.next(), decoder.data()]).toEqual([MESSAGE, Uint8Array.of(0xff, 0xe2)]);
    expect([decoder.next(), decoder.data()]).toEqual([MESSAGE, Uint8Array.of(0xff)]);
  });

  it.each([1, 4, 1000])('returns the bytes after a close frame, in chunks of %d', (size) => {
    const decoder = new MessageDecoder({ role: 'client' });
    const after = Buffer.from('another protocol');
    const stream = Buffer.concat([naiveEncode(8, Buffer.alloc(0)), after]);
    let closed = false;
    const rest: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += size) {
      const chunk = new Uint8Array(stream.subarray(at, at + size));
      if (closed) {
        rest.push(chunk);
        continue;
      }
      decoder.push(chunk);
      closed = decoder.next() === CLOSE;
      decoder.keep();
      chunk.fill(0xff);
      if (closed) rest.push(decoder.rest());
    }
    expect(Buffer.concat(rest).toString()).toBe('another protocol');
  });

  it('gives the caller memory of its own for each event', () => {
    const decoder = decoderOf();
    decoder.streaming = true;
    const all = frame(BinaryMessage, 'abcdef');
    const chunks = [all.subarray(0, 6), all.subarray(6)].map((part) => new Uint8Array(part));
    const pieces: Uint8Array[] = [];
    for (const chunk of chunks) {
      decoder.push(chunk);
      while (decoder.next() > NEED_MORE) pieces.push(decoder.data());
      chunk.fill(0xff);
    }
    expect(Buffer.concat(pieces).toString()).toBe('abcdef');
  });
});
