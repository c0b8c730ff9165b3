import { isUtf8 } from 'node:buffer';
import * as codec from '@ws/codec';
import { describe, expect, it } from 'vitest';
import {
  type EchoPlan,
  makeEchoCorpus,
  makePayloads,
  serverFrame,
} from '../../src/load/echo-corpus.ts';

const plan: EchoPlan = { content: 'binary', size: 200, count: 3, fragments: 1, raw: false };

/** The frame of the codec, which has its own tests. */
function encodeFrame(...frame: Parameters<typeof codec.encodeFrame>): Buffer {
  return Buffer.from(codec.encodeFrame(...frame));
}

/** The key of the masked frame at `at`, whose payload has 126 to 65535 bytes. */
function keyAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at + 4);
}

describe('makePayloads', () => {
  it.each(['binary', 'ascii', 'mixed'] as const)('creates %s of the given size', (content) => {
    const payloads = makePayloads({ content, size: 333, count: 9 });
    expect(payloads.map(({ length }) => length)).toEqual(Array(9).fill(333));
    expect(new Set(payloads.map(String)).size).toBe(9);
    expect(payloads.every((payload) => isUtf8(payload))).toBe(content !== 'binary');
  });

  it('mixes characters of one to four bytes', () => {
    const [text] = makePayloads({ content: 'mixed', size: 4000, count: 1 }).map(String);
    const lengths = Array.from(text!, (character) => Buffer.byteLength(character));
    for (const length of [1, 2, 3, 4]) {
      expect(lengths.filter((one) => one === length).length).toBeGreaterThan(200);
    }
  });

  it('creates the same payloads in each process', () => {
    expect(makePayloads(plan)).toEqual(makePayloads(plan));
  });
});

describe('makeEchoCorpus', () => {
  it.each([
    ['binary', 2],
    ['ascii', 1],
    ['mixed', 1],
  ] as const)('sends %s as masked frames and expects them unmasked', (content, opcode) => {
    const corpus = makeEchoCorpus({ ...plan, content });
    const payloads = makePayloads({ ...plan, content });
    for (const [i, payload] of payloads.entries()) {
      const sent = corpus.frames.subarray(corpus.offsets[i], corpus.offsets[i + 1]);
      expect(sent).toEqual(encodeFrame(opcode, payload, { maskKey: keyAt(sent, 0) }));
      const reply = corpus.replies.subarray(i * corpus.replySize, (i + 1) * corpus.replySize);
      expect(reply).toEqual(encodeFrame(opcode, payload));
    }
    expect(corpus.replies).toHaveLength(3 * corpus.replySize);
  });

  it('sends a message in fragments and expects one frame', () => {
    const corpus = makeEchoCorpus({ ...plan, size: 600, count: 1, fragments: 3 });
    const [payload] = makePayloads({ ...plan, size: 600, count: 1 });
    const frames = [0, 1, 2].map((i) =>
      encodeFrame(i === 0 ? 2 : 0, payload!.subarray(i * 200, (i + 1) * 200), {
        fin: i === 2,
        maskKey: keyAt(corpus.frames, i * 208),
      }),
    );
    expect(corpus.frames).toEqual(Buffer.concat(frames));
    expect(corpus.replies).toEqual(encodeFrame(2, payload!));
  });

  it('expects the sent bytes from a raw server', () => {
    const corpus = makeEchoCorpus({ ...plan, raw: true });
    expect(corpus.replies).toEqual(corpus.frames);
    expect(corpus.replySize).toBe(208);
  });
});

describe('serverFrame', () => {
  it.each([0, 125, 126, 65_535, 65_536])('creates a frame of %i bytes', (length) => {
    const payload = Buffer.alloc(length, 'x');
    expect(serverFrame(0x82, payload)).toEqual(encodeFrame(2, payload));
  });
});
