import { naiveEncode, ToyExtension } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  type Extension,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  MessageDecoder,
  NEED_MORE,
  ProtocolError,
  STEP,
  TextMessage,
} from '../../src/index.ts';

const RSV1 = 0x40;
const RSV2 = 0x20;

/** Decodes `frames` in chunks of `size` bytes, each of which is overwritten after it was lent. */
function decode(extension: Extension, frames: Uint8Array, size: number = frames.length) {
  const decoder = new MessageDecoder({ role: 'client', readLimit: 1000 });
  decoder.extension = extension;
  const messages: string[] = [];
  for (let at = 0; at < frames.length; at += size) {
    const chunk = new Uint8Array(frames.slice(at, at + size));
    decoder.push(chunk);
    decoder.keep();
    chunk.fill(0xdd);
    for (let event; (event = decoder.next()) > NEED_MORE; ) {
      if (event !== STEP) messages.push(Buffer.from(decoder.data()).toString());
    }
  }
  return { messages, error: decoder.error };
}

/** The frames of a message that `extension` encodes in fragments. */
function encode(extension: Extension, ...fragments: string[]): Buffer {
  const frames = fragments.map((text, i) => {
    const last = i === fragments.length - 1;
    const bytes = Buffer.from(text);
    const size = extension.encode(bytes, 0, bytes.length, i === 0, last);
    const { output, sentRsv = extension.rsv } = extension;
    const payload = output.slice(0, size);
    return naiveEncode(i === 0 ? TextMessage : 0, payload, {
      fin: last,
      rsv: i === 0 ? sentRsv : 0,
    });
  });
  extension.endOutput(true);
  return Buffer.concat(frames);
}

describe('an Extension', () => {
  it.each([
    ['whole', true],
    ['in fragments', false],
  ])('has its message announced at the header, %s', (_name, whole) => {
    const decoder = new MessageDecoder({ role: 'client', readLimit: 1000 });
    const toy = new ToyExtension(RSV2, 3);
    let ready = false;
    toy.ready = () => ready;
    decoder.extension = toy;
    decoder.streaming = true;
    const payload = Buffer.from('ab');
    const seen: unknown[] = [];
    const next = (): void => {
      for (let event; (event = decoder.next()) > NEED_MORE; ) {
        if (event !== STEP) seen.push([event, Buffer.from(decoder.data()).toString(), decoder.fin]);
      }
    };
    const first = whole ? payload : payload.subarray(0, 1);
    decoder.push(new Uint8Array(naiveEncode(TextMessage, first, { fin: whole, rsv: RSV2 })));
    next();
    expect(seen).toEqual([[MESSAGE_BEGIN, '', false]]);
    // The next message is not for a stream.
    decoder.streaming = false;
    decoder.keep();
    ready = true;
    next();
    if (!whole) decoder.push(new Uint8Array(naiveEncode(0, payload.subarray(1))));
    next();
    expect(seen.slice(1)).toEqual([[MESSAGE_DATA, 'a', true]]);
  });

  it.each([1, 2, 3, 7, 1000])('gets its messages in chunks of %i bytes', (size) => {
    const toy = new ToyExtension(RSV2, 3);
    const frames = Buffer.concat([
      encode(toy, 'whole'),
      naiveEncode(TextMessage, Buffer.from('plain')),
      encode(toy, 'in', '', ' fragments'),
      encode(toy, ''),
    ]);
    const { messages, error } = decode(toy, frames, size);
    expect(error).toBeUndefined();
    expect(messages).toEqual(['whole', 'plain', 'in fragments', '']);
    expect(toy.log.filter((line) => line.startsWith('begin'))).toEqual(Array(3).fill('begin 1 20'));
  });

  it.each([
    ['a bit that is not its own', naiveEncode(TextMessage, Buffer.of(), { rsv: RSV1 }), 'RSV1 set'],
    ['its bit on a control frame', naiveEncode(9, Buffer.of(), { rsv: RSV2 }), 'RSV2 set'],
    [
      'its bit on a later fragment',
      Buffer.concat([
        naiveEncode(TextMessage, Buffer.of(), { rsv: RSV2, fin: false }),
        naiveEncode(0, Buffer.of(), { rsv: RSV2 }),
      ]),
      'RSV2 set',
    ],
  ])('does not get %s: 1002', (_, frames, fault) => {
    const { error } = decode(new ToyExtension(RSV2, 3), frames);
    expect(error).toMatchObject({ closeCode: 1002 });
    expect(error?.message).toContain(fault);
  });

  it('gets no message after it was removed', () => {
    const decoder = new MessageDecoder({ role: 'client' });
    decoder.extension = new ToyExtension(RSV2, 3);
    decoder.extension = undefined;
    decoder.push(new Uint8Array(encode(new ToyExtension(RSV2, 3), 'a')));
    decoder.next();
    expect(decoder.error?.closeCode).toBe(1002);
  });

  it('may not return more bytes than it was given room for', () => {
    const toy = new ToyExtension(RSV2, 3);
    toy.step = (into: Uint8Array) => into.length + 1;
    const decoder = new MessageDecoder({ role: 'client' });
    decoder.extension = toy;
    decoder.push(new Uint8Array(encode(new ToyExtension(RSV2, 3), 'a')));
    expect(decoder.next()).toBe(STEP);
    expect(() => decoder.next()).toThrow(
      /^Extension\.step: returned \d+, for an array of \d+ bytes$/,
    );
  });

  it.each(['begin', 'feed', 'step'] as const)(
    'fails with the code of its error in %s',
    (method) => {
      const toy = new ToyExtension(RSV2, 3);
      const frames = encode(toy, 'a');
      toy[method] = () => {
        throw new ProtocolError(1007, ['not of this extension']);
      };
      expect(decode(toy, frames).error?.closeCode).toBe(1007);
    },
  );

  it('is bounded by the limit of the message', () => {
    const toy = new ToyExtension(RSV2, 3);
    expect(decode(toy, encode(toy, 'a'.repeat(1000))).messages).toHaveLength(1);
    expect(decode(toy, encode(toy, 'a'.repeat(1001))).error?.closeCode).toBe(1009);
  });
});
