import { describe, expect, it } from 'vitest';
import {
  measureInflating,
  measureOptions,
  optionsTable,
} from '../../src/scenarios/deflate-options.ts';

describe('measureOptions and measureInflating', () => {
  it('measure every choice once, with the compressed share of a message', () => {
    const costs = [...measureOptions(1), ...measureInflating(1)];
    const names = costs.map(({ option }) => option);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('level 1 (default)');
    const at = (option: string, size: number): number =>
      costs.find((one) => one.option === option)!.costs.find((cost) => cost.size === size)!.share;
    // 64 bytes do not shrink alone, but with the text before them.
    expect(at('level 1 (default)', 64)).toBeGreaterThan(0.9);
    expect(at('takeover, sendHistory 2048', 64)).toBeLessThan(0.7);
    expect(at('level 6', 4096)).toBeLessThan(at('level 1 (default)', 4096));
    expect(costs.every((one) => one.costs.every(({ us }) => us > 0))).toBe(true);
  });

  it('have a table with columns for each size', () => {
    const costs = [{ size: 64, us: 2.5, share: 0.5 }];
    expect(optionsTable([{ option: 'level 1', costs }])).toBe(
      '         64 B, us  left\n-------  --------  ----\nlevel 1      2.50  50 %\n',
    );
  });
});
