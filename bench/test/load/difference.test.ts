import { describe, expect, it } from 'vitest';
import { differenceOf } from '../../src/load/difference.ts';
import { EchoStream } from '../../src/load/echo-stream.ts';
import { piecesOf } from '../../src/load/pieces.ts';

describe('differenceOf', () => {
  it('shows both messages as hex and text from before the first different byte', () => {
    const [got, expected] = ['0123456789xbc\n\u00e9', '0123456789abc\n\u00e9'].map((text) =>
      Buffer.from(text, 'latin1'),
    );
    expect(differenceOf(got!, expected!).split('\n')).toEqual([
      'differs at byte 10 of 15; from byte 6:',
      '  expected 36 37 38 39 61 62 63 0a e9  "6789abc\\n\\xe9"',
      '  got      36 37 38 39 78 62 63 0a e9  "6789xbc\\n\\xe9"',
    ]);
  });

  it('shortens long messages, and says when one has ended', () => {
    const lines = differenceOf(Buffer.alloc(0), Buffer.alloc(100)).split('\n');
    expect(lines[1]).toMatch(/^ {2}expected (?:00 ){20}…/);
    expect(lines[2]).toBe('  got      nothing');
  });
});

describe('EchoStream.push', () => {
  it('shows the frame that differs, also when a part of it came before', () => {
    const stream = new EchoStream(piecesOf([Buffer.from('\x82\x03abc', 'latin1')]), 0);
    stream.push(Buffer.from('\x82\x03a', 'latin1'));
    expect(() => stream.push(Buffer.from('xc'))).toThrow(
      [
        'the frame of the reply to message 0 differs at byte 3 of 5; from byte 0:',
        '  expected 82 03 61 62 63  "\\x82\\u0003abc"',
        '  got      82 03 61 78 63  "\\x82\\u0003axc"',
      ].join('\n'),
    );
  });
});
