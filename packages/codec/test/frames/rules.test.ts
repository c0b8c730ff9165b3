import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  CONTROL_FRAME,
  DATA_FRAME,
  FAULTY,
  firstByteVerdicts,
  frameFaults,
  lengthFault,
} from '../../src/frames/rules.ts';

describe('frameFaults', () => {
  it.each([
    { b: [0x81, 0x85], faults: [] },
    { b: [0xc1, 0x85], faults: ['RSV1 set'] },
    { b: [0xf1, 0x05], faults: ['RSV1 set', 'RSV2 set', 'RSV3 set', 'bad MASK'] },
    { b: [0x09, 0xfe], faults: ['len > 125 for control', 'FIN not set on control'] },
    { b: [0x80, 0x80], faults: ['continuation after FIN'] },
    { b: [0x83, 0x80], faults: ['bad opcode 3'] },
    { b: [0x0f, 0x7f], faults: ['bad opcode 15', 'bad MASK'] },
  ])('names $faults', ({ b, faults }) => {
    expect(frameFaults(b[0]!, b[1]!, true, 0, false)).toEqual(faults);
  });

  it('accepts a negotiated bit, but RSV1 only on the first frame of a message', () => {
    expect(frameFaults(0xc1, 0x80, true, 0x40, false)).toEqual([]);
    expect(frameFaults(0xc0, 0x80, true, 0x40, true)).toEqual(['RSV1 set']);
    expect(frameFaults(0xc9, 0x80, true, 0x40, false)).toEqual(['RSV1 set']);
    expect(frameFaults(0xa0, 0x80, true, 0x20, true)).toEqual([]);
  });

  it('agrees with the naive decoder about every pair of bytes', () => {
    const open = [0x01, 0x80, 0, 0, 0, 0];
    for (let b0 = 0; b0 < 256; b0++) {
      for (const b1 of [0, 125, 126, 127, 128, 253, 254, 255]) {
        for (const messageOpen of [false, true]) {
          const wire = Uint8Array.from([...(messageOpen ? open : []), b0, b1]);
          const naive = naiveDecode(wire, 'server', { allowedRsv: 0x40 }).failure?.faults ?? [];
          expect(frameFaults(b0, b1, true, 0x40, messageOpen)).toEqual(naive);
        }
      }
    }
  });
});

describe('firstByteVerdicts', () => {
  it('classifies first bytes as faulty, data and control', () => {
    const verdicts = firstByteVerdicts(0);
    expect(verdicts[0x81]).toBe(DATA_FRAME);
    expect(verdicts[0x89]).toBe(CONTROL_FRAME);
    expect(verdicts[0x80]).toBe(FAULTY);
    expect(verdicts[256 + 0x80]).toBe(DATA_FRAME);
    expect(verdicts[256 + 0x81]).toBe(FAULTY);
    expect(verdicts[0xc1]).toBe(FAULTY);
    expect(firstByteVerdicts(0x40)[0xc1]).toBe(DATA_FRAME);
  });

  it('shares one table between decoders with the same bits', () => {
    expect(firstByteVerdicts(0x40)).toBe(firstByteVerdicts(0x40));
    expect(firstByteVerdicts(0x40)).not.toBe(firstByteVerdicts(0));
  });
});

describe('lengthFault', () => {
  it('reports a length over the limit from its first bytes', () => {
    const bytes = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0);
    expect(lengthFault(bytes, 0, 3, 8, 1000)).toBeUndefined();
    expect(lengthFault(bytes, 0, 4, 8, 1000)).toMatchObject({ closeCode: 1009 });
    expect(lengthFault(Uint8Array.of(0x10), 0, 1, 2, 4095)).toMatchObject({ closeCode: 1009 });
    expect(lengthFault(Uint8Array.of(0x10), 0, 1, 2, 4096)).toBeUndefined();
  });
});
