import { BinaryMessage, TextMessage } from '@ws/codec';
import { FakePlatform, naiveEncode } from '@ws/tests';
import { afterEach, describe, expect, it } from 'vitest';
import { resolveSettings } from '../../src/options.ts';
import {
  CHECKED_ONLY,
  DELIVERED,
  type DecodedEvent,
  MESSAGE,
  NOTHING,
  type PayloadUse,
  PING,
} from '../../src/read/decoded-event.ts';
import { MessageDecoder } from '../../src/read/message-decoder.ts';

const MASK = { mask: 0x01020304 };
const PING_FRAME = naiveEncode(9, Buffer.from('hello'), MASK);

function attached(payloadUse: PayloadUse = DELIVERED): MessageDecoder {
  const settings = resolveSettings({}, 'server');
  const { readLimit } = settings;
  const decoder = new MessageDecoder('server', settings, new FakePlatform());
  const context = {
    framesIn: 0,
    messagesIn: 0,
    pingsIn: 0,
    readLimit,
    deflate: undefined,
    freeChunk: (chunk: Uint8Array) => freed.push(chunk),
    onInflateTurn() {},
  };
  decoder.attach(context, payloadUse, false);
  return decoder;
}

const freed: Uint8Array[] = [];
afterEach(() => void freed.splice(0));

describe('MessageDecoder', () => {
  it('frees large chunks that were a part of one message only', () => {
    const decoder = attached();
    const frame = naiveEncode(BinaryMessage, Buffer.alloc(200_000, 7), MASK);
    const bytes = Buffer.concat([PING_FRAME, frame, PING_FRAME]);
    const chunks = [0, 40_000, 80_000, 90_000, 130_000, 170_000].map(
      (start, i, starts) => new Uint8Array(bytes.subarray(start, starts[i + 1])),
    );
    const events = chunks.flatMap((chunk) => {
      decoder.push(chunk);
      const seen: DecodedEvent[] = [];
      for (let event = decoder.next(); event !== NOTHING; event = decoder.next()) seen.push(event);
      return seen;
    });
    expect(events).toEqual([PING, MESSAGE, PING]);
    // The first and the last have a ping, and the third is small.
    expect(freed).toEqual([chunks[1], chunks[3], chunks[4]]);
  });

  it('frees large chunks of a dropped message', () => {
    const decoder = attached(CHECKED_ONLY);
    const frame = naiveEncode(BinaryMessage, Buffer.alloc(100_000), MASK);
    const chunk = new Uint8Array(frame.subarray(0, 50_000));
    decoder.push(chunk);
    expect([decoder.next(), freed.length, freed[0]]).toEqual([NOTHING, 1, chunk]);
  });

  it('frees no chunk that a reader of pieces may keep', () => {
    const decoder = attached();
    decoder.streaming = true;
    const frame = naiveEncode(BinaryMessage, Buffer.alloc(100_000), MASK);
    for (let at = 0; at < 80_000; at += 20_000) {
      decoder.push(new Uint8Array(frame.subarray(at, at + 20_000)));
      while (decoder.next() !== NOTHING);
    }
    expect(decoder.length).toBe(100_000);
    expect(freed).toEqual([]);
  });

  it.each([
    {
      of: 'a message',
      frame: naiveEncode(BinaryMessage, Buffer.alloc(60_000), MASK),
      event: MESSAGE,
    },
    { of: 'a text', frame: naiveEncode(TextMessage, Buffer.from('hello'), MASK), event: MESSAGE },
    { of: 'a ping', frame: naiveEncode(9, Buffer.from('hello'), MASK), event: PING },
  ])('releases the chunk of $of once it is parsed', ({ frame, event }) => {
    const decoder = attached();
    decoder.push(new Uint8Array(frame));
    expect(decoder.next()).toBe(event);
    expect(decoder.bytes.length).toBeGreaterThan(0);
    expect(decoder.idle).toBe(false);
    expect(decoder.next()).toBe(NOTHING);
    expect([decoder.bytes.length, decoder.held, decoder.idle]).toEqual([0, 0, true]);
  });

  it('is not idle during a message', () => {
    const decoder = attached();
    const first = naiveEncode(TextMessage, Buffer.from('hel'), { ...MASK, fin: false });
    decoder.push(new Uint8Array(first.subarray(0, 3)));
    expect([decoder.next(), decoder.idle]).toEqual([NOTHING, false]);
    decoder.push(new Uint8Array(first.subarray(3)));
    expect([decoder.next(), decoder.idle]).toEqual([NOTHING, false]);
    decoder.push(new Uint8Array(naiveEncode(0, Buffer.from('lo'), MASK)));
    expect(decoder.next()).toBe(MESSAGE);
    expect([decoder.next(), decoder.idle]).toEqual([NOTHING, true]);
  });
});
