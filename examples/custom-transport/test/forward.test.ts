import { encodeFrame } from '@ws/codec';
import { naiveDecode, Random } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Forwarder } from '../forward.ts';

describe('Forwarder', () => {
  it('forwards random frames as they are, with other masks', () => {
    const random = new Random(7);
    const next = (end: number): number => random.below(end);
    for (let round = 0; round < 300; round++) {
      const frames = Array.from({ length: 1 + next(8) }, () => {
        const payload = Uint8Array.from({ length: [0, 1, 125, 126, 5000, 70_000][next(6)]! }, () =>
          next(256),
        );
        return { opcode: 2, fin: true, payload, maskKey: next(2 ** 31) };
      });
      const wire = Buffer.concat(frames.map((one) => encodeFrame(2, one.payload, one)));
      const forwarded: Uint8Array[] = [];
      const forwarder = new Forwarder();
      for (let at = 0; at < wire.length; ) {
        const end = at + 1 + next(next(3) === 0 ? 20 : 9000);
        forwarder.push(new Uint8Array(wire.subarray(at, end)), (bytes) => forwarded.push(bytes));
        at = end;
      }
      const sent = Buffer.concat(forwarded);
      expect(sent).toHaveLength(wire.length);
      expect(Buffer.compare(sent, wire)).not.toBe(0);
      const arrived = naiveDecode(sent, 'server').frames;
      expect(arrived.map(({ payload }) => Buffer.from(payload).toString('hex'))).toEqual(
        frames.map(({ payload }) => Buffer.from(payload).toString('hex')),
      );
    }
  });

  it('leaves a frame without a mask as it is', () => {
    const wire = encodeFrame(1, Uint8Array.of(104, 105));
    const forwarded: Uint8Array[] = [];
    new Forwarder().push(wire.slice(), (bytes) => forwarded.push(bytes));
    expect(Buffer.concat(forwarded)).toEqual(Buffer.from(wire));
  });
});
