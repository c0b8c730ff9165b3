import { endToEnd } from '@ws/node-server/internal';
import { describe, expect, it, vi } from 'vitest';
import type { HeaderLine } from '../../src/handshake/end-to-end.ts';

describe('endToEnd', () => {
  it('reads no list of names for each line', () => {
    const names = Array.from({ length: 2_000 }, (_, i) => `x-${i}`);
    const lines: HeaderLine[] = [
      ['Connection', names.join(', ')],
      ...names.map((name): HeaderLine => [name, '1']),
      ['x-kept', '1'],
    ];
    let read = 0;
    const includes = vi.spyOn(Array.prototype, 'includes');
    includes.mockImplementation(function (this: unknown[], searched: unknown) {
      read += this.length;
      return this.some((each) => each === searched);
    });
    const kept = endToEnd(lines);
    includes.mockRestore();
    expect(kept).toEqual([['x-kept', '1']]);
    expect(read).toBeLessThanOrEqual(lines.length);
  });
});
