import { naiveEncode, ToyExtension } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  type Extension,
  ExtensionChain,
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
const RSV3 = 0x10;

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

  it('may not mark a message with bits that are not its own', () => {
    const toy = Object.assign(new ToyExtension(RSV2, 3), { sentRsv: RSV1 });
    const chain = new ExtensionChain([toy]);
    chain.wants(1, undefined);
    const bytes = Buffer.from('a');
    expect(() => chain.encode(bytes, 0, 1, true, true)).toThrow(/^Extension\.sentRsv: 64/);
  });

  it('is bounded by the limit of the message', () => {
    const toy = new ToyExtension(RSV2, 3);
    expect(decode(toy, encode(toy, 'a'.repeat(1000))).messages).toHaveLength(1);
    expect(decode(toy, encode(toy, 'a'.repeat(1001))).error?.closeCode).toBe(1009);
  });
});

describe('ExtensionChain', () => {
  it.each([1, 2, 3, 5, 1000])('undoes the last extension first, in chunks of %i', (size) => {
    const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV3, 5)];
    const chain = new ExtensionChain(toys);
    expect(chain.rsv).toBe(RSV2 | RSV3);
    expect(chain.wants(1, undefined)).toBe(true);
    const frames = encode(chain, 'both', ' of', ' them');
    // The second toy has doubled what the first one has made of "b".
    expect(frames.subarray(2, 6).toString()).toBe('bgad');
    const { messages, error } = decode(chain, Buffer.concat([frames, frames]), size);
    expect(error).toBeUndefined();
    expect(messages).toEqual(['both of them', 'both of them']);
  });

  it('gives a message to the extensions that it was marked for', () => {
    const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV3, 5)];
    const chain = new ExtensionChain(toys);
    const frames = toys.map((toy) => encode(toy, `only ${toy.rsv}`));
    const plain = naiveEncode(BinaryMessage, Buffer.from('none'));
    const { messages } = decode(chain, Buffer.concat([...frames, plain]));
    expect(messages).toEqual(['only 32', 'only 16', 'none']);
  });

  it('leaves out an extension that leaves the message as it is', () => {
    const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV3, 5)];
    toys[0]!.encode = () => -1;
    const chain = new ExtensionChain(toys);
    chain.wants(1, undefined);
    const frames = encode(chain, 'one', 'two');
    expect(frames[0]! & 0x70).toBe(RSV3);
    expect(decode(chain, frames).messages).toEqual(['onetwo']);
  });

  it('leaves a message unchanged when no extension changes it', () => {
    const toy = new ToyExtension(RSV2, 3);
    const chain = new ExtensionChain([toy]);
    toy.wants = () => false;
    expect(chain.wants(1, undefined)).toBe(false);
    toy.wants = () => true;
    toy.encode = () => -1;
    chain.wants(1, undefined);
    expect(chain.encode(Buffer.from('a'), 0, 1, true, true)).toBe(-1);
  });

  it('does not pile up what one extension makes for the next', () => {
    const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV3, 5)];
    const chain = new ExtensionChain(toys);
    chain.begin(TextMessage, RSV2 | RSV3);
    chain.feed(new Uint8Array(1_000_000), 0, 1_000_000, false);
    let most = 0;
    while (chain.more) {
      chain.step(new Uint8Array(100), Infinity);
      most = Math.max(most, toys[0]!.unread);
    }
    expect(most).toBeLessThanOrEqual(65_536);
  });

  it('ends the output of each extension that has begun, also when one throws', () => {
    const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV3, 5)];
    toys[1]!.encode = () => {
      throw new Error('no key');
    };
    const chain = new ExtensionChain(toys);
    chain.wants(1, undefined);
    expect(() => chain.encode(Buffer.from('a'), 0, 1, true, true)).toThrow('no key');
    chain.endOutput(false);
    for (const { log } of toys) expect(log.at(-1)).toBe('not sent');
  });

  it('destroys all of them, also when one throws', () => {
    const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV3, 5)];
    toys[0]!.destroy = () => {
      throw new Error('mine');
    };
    const chain = new ExtensionChain(toys);
    expect(() => chain.destroy()).toThrow('mine');
    expect(toys[1]!.log).toEqual(['destroy']);
  });
});
