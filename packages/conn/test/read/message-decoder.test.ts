import { BinaryMessage, sharedMessageBuffers, TextMessage } from '@ws/codec';
import { FakePlatform, naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { resolveSettings } from '../../src/options.ts';
import {
  DELIVERED,
  IGNORED,
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
    onInflateTurn() {},
  };
  decoder.attach(context, payloadUse, false);
  return decoder;
}

describe('MessageDecoder', () => {
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
    expect([decoder.bytes.length, decoder.assembled, decoder.idle]).toEqual([0, 0, true]);
  });

  it('releases the memory of a message that was not taken, when it is destroyed', () => {
    const decoder = attached();
    const { lent } = sharedMessageBuffers();
    const frame = naiveEncode(BinaryMessage, Buffer.alloc(5_000), MASK);
    decoder.push(new Uint8Array(frame.subarray(0, 3_000)));
    expect(decoder.next()).toBe(NOTHING);
    decoder.push(new Uint8Array(frame.subarray(3_000)));
    expect([decoder.next(), sharedMessageBuffers().lent]).toEqual([MESSAGE, lent + 1]);
    decoder.destroy();
    decoder.destroy();
    expect(sharedMessageBuffers().lent).toBe(lent);
  });

  it.each([[[0xff]], [[0x61, 0xe2, 0x82]]])(
    'accepts any bytes as the text of a message that is ignored: %s',
    (bytes) => {
      const frames = [true, false].flatMap((fin) => [
        naiveEncode(TextMessage, Uint8Array.from(bytes), { ...MASK, fin }),
        ...(fin ? [] : [naiveEncode(0, Uint8Array.from(bytes), MASK)]),
      ]);
      const decoder = attached(IGNORED);
      decoder.push(new Uint8Array(Buffer.concat([...frames, PING_FRAME])));
      expect([decoder.next(), decoder.next(), decoder.next()]).toEqual([MESSAGE, MESSAGE, PING]);
    },
  );

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
