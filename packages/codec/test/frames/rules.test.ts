import { describe, expect, it } from 'vitest';
import { firstByteVerdicts, frameFault, frameFaults } from '../../src/frames/rules.ts';

describe('frameFault', () => {
  const hint = "; a frame without a mask: does the peer have role 'server' too?";
  it.each([
    ['MASK alone is wrong', 0x82, 0x05, `bad MASK${hint}`],
    ['RSV1 is wrong too', 0xc2, 0x05, 'RSV1 set, bad MASK'],
    ['MASK is right', 0xc2, 0x85, 'RSV1 set'],
  ])('says what it knows of the peer when %s', (_, b0, b1, message) => {
    expect(frameFault(b0, b1, true, 0, false).message).toBe(`websocket: ${message}`);
  });
});

describe('frameFaults', () => {
  it.each([0x88, 0x89, 0x8a])('bounds the payload of the control frame %d', (b0) => {
    expect(frameFaults(b0, 125, false, 0, false)).toEqual([]);
    expect(frameFaults(b0, 126, false, 0, false)).toEqual(['len > 125 for control']);
  });
});

describe('firstByteVerdicts', () => {
  it.each([0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70])('are those of frameFaults', (rsv) => {
    const verdicts = firstByteVerdicts(rsv);
    const clean = Array.from(verdicts, (_, i) => frameFaults(i & 0xff, 0, false, rsv, i >= 256));
    expect(Array.from(verdicts, (verdict) => verdict > 0)).toEqual(
      clean.map((faults) => faults.length === 0),
    );
    expect(firstByteVerdicts(rsv)).toBe(verdicts);
  });
});
