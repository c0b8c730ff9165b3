import { describe, expect, it } from 'vitest';
import { timeInterleaved } from '../../src/harness/batches.ts';
import { codecKernels } from '../../src/kernels/codec.ts';
import { engineKernels } from '../../src/kernels/engines.ts';
import { microKernels } from '../../src/kernels/micro.ts';

describe('the work of a kernel', () => {
  it.each([
    ['16 x 16 B in a chunk', microKernels],
    ['find frames, masked, mixed sizes', codecKernels],
    ['encode text, unmasked, 1 KiB', codecKernels],
    ['engines, 64 B', engineKernels],
  ] as const)('runs and can be timed: %s', async (name, kernels) => {
    for (const { batch, units } of Object.values(kernels[name]!())) {
      await batch();
      expect(units).toBeGreaterThan(0);
    }
  });
});

describe('timeInterleaved', () => {
  it('reports a unit of work for each round, also of batches that return a promise', async () => {
    let batches = 0;
    const times = await timeInterleaved(
      {
        a: { batch: () => void batches++, units: 10, left: () => 50 },
        b: { batch: () => new Promise(setImmediate), units: 1 },
      },
      2,
    );
    expect(times['a']!['ns']).toHaveLength(2);
    expect(times['a']!['left']).toEqual([50]);
    expect(times['b']!['ns']!.every((ns) => ns > 0)).toBe(true);
    expect(batches).toBeGreaterThan(10);
  });

  it('reports the error of a batch', async () => {
    let failing = false;
    const batch = () => {
      if (failing) throw new Error('wrong result');
    };
    // Called after the warm-up.
    const left = () => Number((failing = true));
    await expect(timeInterleaved({ a: { batch, units: 1, left } }, 1)).rejects.toThrow(
      'wrong result',
    );
  });
});
