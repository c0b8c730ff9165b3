import { isUtf8 } from 'node:buffer';
import * as codec from '@ws/codec';
import { describe, expect, it } from 'vitest';
import {
  type EchoPlan,
  jsonReply,
  makeEchoCorpus,
  makePayloads,
  serverFrame,
} from '../../src/load/echo-corpus.ts';
import type { Pieces } from '../../src/load/pieces.ts';

const plan: EchoPlan = { content: 'binary', sizes: [200], count: 3, fragments: 1, raw: false };

/** The frame of the codec, which has its own tests. */
function encodeFrame(...frame: Parameters<typeof codec.encodeFrame>): Buffer {
  return Buffer.from(codec.encodeFrame(...frame));
}

function piece({ bytes, offsets }: Pieces, i: number): Buffer {
  return bytes.subarray(offsets[i], offsets[i + 1]);
}

/** The key of the masked frame at `at`, whose payload has 126 to 65535 bytes. */
function keyAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at + 4);
}

describe('makePayloads', () => {
  it.each(['binary', 'ascii', 'mixed'] as const)('creates %s of the given size', (content) => {
    const payloads = makePayloads({ content, sizes: [333], count: 9 });
    expect(payloads.map(({ length }) => length)).toEqual(Array(9).fill(333));
    expect(new Set(payloads.map(String)).size).toBe(9);
    expect(payloads.every((payload) => isUtf8(payload))).toBe(content !== 'binary');
  });

  it('mixes characters of one to four bytes', () => {
    const [text] = makePayloads({ content: 'mixed', sizes: [4000], count: 1 }).map(String);
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
      const sent = piece(corpus.frames, i);
      expect(sent).toEqual(encodeFrame(opcode, payload, { maskKey: keyAt(sent, 0) }));
      expect(piece(corpus.replies, i)).toEqual(encodeFrame(opcode, payload));
    }
    expect(corpus.replies.count).toBe(3);
  });

  it('sends a message in fragments and expects one frame', () => {
    const corpus = makeEchoCorpus({ ...plan, sizes: [600], count: 1, fragments: 3 });
    const [payload] = makePayloads({ ...plan, sizes: [600], count: 1 });
    const frames = [0, 1, 2].map((i) =>
      encodeFrame(i === 0 ? 2 : 0, payload!.subarray(i * 200, (i + 1) * 200), {
        fin: i === 2,
        maskKey: keyAt(corpus.frames.bytes, i * 208),
      }),
    );
    expect(corpus.frames.bytes).toEqual(Buffer.concat(frames));
    expect(corpus.replies.bytes).toEqual(encodeFrame(2, payload!));
  });

  it('expects the sent bytes from a raw server', () => {
    const corpus = makeEchoCorpus({ ...plan, raw: true });
    expect(corpus.replies).toEqual(corpus.frames);
  });

  it('has messages of several sizes in turn', () => {
    const { replies } = makeEchoCorpus({ ...plan, sizes: [10, 300] });
    expect([...replies.offsets]).toEqual([0, 12, 316, 328]);
  });

  it('expects the JSON reply that the servers compute', () => {
    const { frames, replies } = makeEchoCorpus({ ...plan, content: 'json' });
    const [request] = makePayloads({ ...plan, content: 'json' }).map(String);
    const { id, price } = JSON.parse(request!);
    expect(piece(replies, 0)).toEqual(encodeFrame(1, Buffer.from(jsonReply(request!))));
    expect(JSON.parse(jsonReply(request!))).toMatchObject({ id, total: 2 * price });
    expect(piece(frames, 0).length).toBeGreaterThan(100);
  });
});

describe('serverFrame', () => {
  it.each([0, 125, 126, 65_535, 65_536])('creates a frame of %i bytes', (length) => {
    const payload = Buffer.alloc(length, 'x');
    expect(serverFrame(0x82, payload)).toEqual(encodeFrame(2, payload));
  });
});
