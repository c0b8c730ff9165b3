import { type Deflater, type Inflater, InflateStatus } from '@ws/deflate';
import { nodeDeflate } from '@ws/node-io';
import { deflateRules, type EnginePair, replaced } from '@ws/tests';
import { describe, expect, it } from 'vitest';

function spoiltInflaters(changes: (inflater: Inflater) => Partial<Inflater>): EnginePair {
  return {
    inflater() {
      const inflater = nodeDeflate.inflater();
      return replaced(inflater, changes(inflater));
    },
    deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
  };
}

function spoiltDeflaters(
  changes: (deflater: Deflater) => Partial<Deflater>,
  bits?: number,
): EnginePair {
  return {
    inflater: () => nodeDeflate.inflater(),
    deflater(level, windowBits) {
      const deflater = nodeDeflate.deflater(level, bits ?? windowBits);
      return replaced(deflater, changes(deflater));
    },
  };
}

describe('deflateContract', () => {
  it.each<[string, string, EnginePair]>([
    [
      'accept truncated messages',
      'detects every truncated message and works after a reset',
      spoiltInflaters((inflater) => ({
        write(...args) {
          const status = inflater.write(...args);
          return status === InflateStatus.Corrupt ? InflateStatus.Done : status;
        },
      })),
    ],
    [
      'lose the history',
      'resolves references to the previous message, without a reset and with a history',
      spoiltInflaters((inflater) => ({
        reset: () => inflater.reset(undefined),
      })),
    ],
    [
      'write beyond the output',
      'fills the output with a bomb, then stops',
      spoiltInflaters((inflater) => ({
        write: (input, from, to, last, output, at, end, limit) =>
          inflater.write(input, from, to, last, output, at, end + 1, limit),
      })),
    ],
    [
      'do not reset',
      'detects a corrupt message and inflates the next one, a thousand times',
      spoiltInflaters(() => ({ reset() {} })),
    ],
    [
      'refer too far back',
      'never refers beyond a window of 8 bits in a long text',
      spoiltDeflaters(() => ({}), 10),
    ],
    [
      'refer to bytes that the peer does not have',
      'deflates Hello as in RFC 7692, section 7.2.3, with and without context',
      spoiltDeflaters(() => ({ reset() {} })),
    ],
    [
      'do not flush',
      'outputs the available bytes of an incomplete message',
      spoiltDeflaters((deflater) => ({
        write: (input, from, to, _, output, at, end) =>
          deflater.write(input, from, to, false, output, at, end),
      })),
    ],
  ])('finds engines that %s', (_, title, engines) => {
    const rule = deflateRules.find((one) => one.title === title);
    expect(rule, title).toBeDefined();
    expect(() => rule!.check(engines)).toThrow();
    expect(() => rule!.check(nodeDeflate)).not.toThrow();
  });
});
