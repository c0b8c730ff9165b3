import { describe, expect, it } from 'vitest';
import { makeEchoCorpus } from '../../src/load/echo-corpus.ts';
import { MiniEcho } from '../../src/rivals/mini.ts';

describe('MiniEcho', () => {
  it.each([1, 3, 7, 100, 70_000, 1_000_000])('echoes the frames of chunks of %i bytes', (step) => {
    const plan = { content: 'binary', count: 6, fragments: 1, raw: false } as const;
    const { frames, replies } = makeEchoCorpus({ ...plan, sizes: [0, 5, 125, 126, 700, 70_001] });
    const echo = new MiniEcho();
    const got: Buffer[] = [];
    for (let i = 0; i < frames.bytes.length; i += step) {
      const echoes = echo.push(Buffer.from(frames.bytes.subarray(i, i + step)));
      if (echoes !== undefined) got.push(Buffer.from(echoes));
    }
    expect(Buffer.concat(got).equals(replies.bytes)).toBe(true);
  });

  it('leaves kept echoes alone', () => {
    const plan = { content: 'binary', count: 2, fragments: 1, raw: false } as const;
    const { frames, replies } = makeEchoCorpus({ ...plan, sizes: [50] });
    const echo = new MiniEcho();
    const first = echo.push(Buffer.from(frames.bytes.subarray(0, frames.offsets[1])))!;
    echo.keep();
    echo.push(Buffer.from(frames.bytes.subarray(frames.offsets[1])));
    expect(first).toEqual(replies.bytes.subarray(0, replies.offsets[1]));
  });
});
