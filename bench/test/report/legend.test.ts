import { expect, it } from 'vitest';
import { legendOf } from '../../src/report/legend.ts';

it('has lines that fit into 80 columns', () => {
  const names = ['receive', 'loop', 'ws', 'ws, native mask', 'ws, corked', 'bun', 'raw1'];
  const series = names.map((name) => ({ name, values: [{ median: 2, least: 1, most: 3 }] }));
  const legend = legendOf({ title: 'Echo', unit: 'times ws', labels: ['16 B'], series });
  expect(Math.max(...legend.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(legend.join('\n')).toMatch(
    /^receive: ours, a handler; loop: [^]* raw1: TCP alone\n2\.1 \(/,
  );
});
