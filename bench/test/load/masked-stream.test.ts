import { encodeFrame } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { makePayloads } from '../../src/load/echo-corpus.ts';
import { MaskedStream } from '../../src/load/masked-stream.ts';

it('counts messages of 64 KiB and more', () => {
  const payloads = makePayloads({ content: 'binary', sizes: [70_000], count: 2 });
  const stream = new MaskedStream(payloads);
  const frames = payloads.map((payload) => encodeFrame(2, payload, { maskKey: 0x1234567 }));
  const bytes = Buffer.concat(frames);
  expect(stream.push(bytes.subarray(0, 100_000))).toBe(1);
  expect(stream.push(bytes.subarray(100_000))).toBe(1);
});

describe.each([16, 1024])('MaskedStream of %i bytes', (size) => {
  const payloads = makePayloads({ content: 'binary', sizes: [size], count: 3 });
  const frames = payloads.map((payload, i) =>
    encodeFrame(2, payload, { maskKey: 0x1234567 * (i + 1) }),
  );

  it.each([1, 5, 22, 1000])('counts the repeated messages of chunks of %i bytes', (step) => {
    const bytes = Buffer.concat([...frames, ...frames]);
    const stream = new MaskedStream(payloads);
    let messages = 0;
    for (let i = 0; i < bytes.length; i += step)
      messages += stream.push(bytes.subarray(i, i + step));
    expect(messages).toBe(6);
  });

  it('detects every changed byte', () => {
    for (let i = 0; i < frames[0]!.length; i++) {
      const wrong = Buffer.from(frames[0]!);
      wrong[i]! ^= 1;
      expect(() => new MaskedStream(payloads).push(wrong)).toThrow('differs');
    }
  });

  it('detects messages in the wrong order', () => {
    expect(() => new MaskedStream(payloads).push(Buffer.from(frames[1]!))).toThrow('message 0');
  });
});
