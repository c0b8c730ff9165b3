import { type Deflater, InflateCorrupt, InflateDone, type Inflater } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import { type DeflateEngines, deflateRules } from '@ws/testkit';
import { describe, expect, it } from 'vitest';

/** An engine with some members replaced, and the rest bound to it. */
function spoilt<E extends Inflater | Deflater>(engine: E, changes: Partial<E>): E {
  return new Proxy(engine, {
    get(target, key): unknown {
      if (key in changes) return changes[key as keyof E];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function spoiltInflaters(changes: (inflater: Inflater) => Partial<Inflater>): DeflateEngines {
  return {
    inflater() {
      const inflater = nodeDeflate.inflater();
      return spoilt(inflater, changes(inflater));
    },
    deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
  };
}

function spoiltDeflaters(
  changes: (deflater: Deflater) => Partial<Deflater>,
  bits?: number,
): DeflateEngines {
  return {
    inflater: () => nodeDeflate.inflater(),
    deflater(level, windowBits) {
      const deflater = nodeDeflate.deflater(level, bits ?? windowBits);
      return spoilt(deflater, changes(deflater));
    },
  };
}

describe('deflateContract', () => {
  it.each<[string, string, DeflateEngines]>([
    [
      'believe in what was cut off',
      'finds each way to cut a message off, and goes on after a reset',
      spoiltInflaters((inflater) => ({
        write(...args) {
          const status = inflater.write(...args);
          return status === InflateCorrupt ? InflateDone : status;
        },
      })),
    ],
    [
      'forget what came before',
      'refers back to the message before, without a reset and with its text as history',
      spoiltInflaters((inflater) => ({
        reset: () => inflater.reset(undefined),
      })),
    ],
    [
      'write beyond their room',
      'puts out as much of a bomb as there is room, and stops there or says that it is too long',
      spoiltInflaters((inflater) => ({
        write: (input, from, to, last, output, at, end) =>
          inflater.write(input, from, to, last, output, at, end + 1),
      })),
    ],
    [
      'are not reset',
      'finds a broken message and inflates the next one, a thousand times in turn',
      spoiltInflaters(() => ({ reset() {} })),
    ],
    [
      'look back too far',
      'never refers back further than a window of 8 bits, over long text',
      spoiltDeflaters(() => ({}), 10),
    ],
    [
      'refer to what the peer has not seen',
      'deflates Hello as RFC 7692, section 7.2.3, does, with and without context',
      spoiltDeflaters(() => ({ reset() {} })),
    ],
    [
      'flush only when they like',
      'puts out what there is of a message before it is complete',
      spoiltDeflaters((deflater) => ({
        write: (input, from, to, _, output, at, end) =>
          deflater.write(input, from, to, false, output, at, end),
      })),
    ],
  ])('finds engines that %s', (_, says, engines) => {
    const rule = deflateRules.find((one) => one.says === says);
    expect(rule, says).toBeDefined();
    expect(() => rule!.check(engines)).toThrow();
    expect(() => rule!.check(nodeDeflate)).not.toThrow();
  });
});
