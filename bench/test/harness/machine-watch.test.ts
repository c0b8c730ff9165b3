import { afterEach, expect, it, vi } from 'vitest';
import { MachineWatch } from '../../src/harness/machine-watch.ts';

afterEach(() => vi.restoreAllMocks());

it('names each row whose readings scatter', async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const row = (name: string, windows: number[]) => ({
    name,
    masks: {},
    readings: { ws: { us: [windows, windows] }, loop: { us: [windows] } },
  });
  // In many windows a rare collection does not count.
  const rare = [10, 10, 10, 11, 11, 11, 11, 99];
  const rows = [row('level', [10, 11, 12]), row('wide', [10, 20, 30]), row('rare', rare)];
  const watch = await MachineWatch.start();
  const scattered = watch.end(rows).filter((line) => line.includes('readings'));
  expect(scattered).toEqual(['wide: the readings of a process usually differ by 100 %']);
});
