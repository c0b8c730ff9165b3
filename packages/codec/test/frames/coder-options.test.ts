import { describe, expect, it } from 'vitest';
import { FrameDecoder, FrameEncoder } from '../../src/index.ts';

describe.each([
  ['FrameDecoder', FrameDecoder, 'maxPayload'],
  ['FrameEncoder', FrameEncoder, 'slabSize'],
] as const)('%s', (name, Coder, unknown) => {
  it('rejects an unknown option, also an undefined one', () => {
    for (const value of [1, undefined]) {
      const options = { role: 'server', [unknown]: value } as const;
      expect(() => new Coder(options)).toThrow(
        new TypeError(`${name}: unknown option ${unknown}; see ${name}Options`),
      );
    }
  });

  it('takes a known option that is undefined', () => {
    expect(() => new Coder({ role: 'client', pool: undefined } as never)).not.toThrow();
  });
});
