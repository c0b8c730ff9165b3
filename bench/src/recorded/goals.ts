import { spreadOver } from '../harness/runner.ts';
import type { Spread } from '../harness/statistics.ts';
import type { Results } from './documents.ts';
import { contestOf, type Goal, times } from './goals-table.ts';

function echo(contest: string, contender: string, base: string, must: number, aim: number): Goal {
  const name = `echo ${contest}, ${contender}, of ${base}`;
  return { name, must, aim, measure: times('compare', contest, contender, base) };
}

function compressed(contest: string, must: number, aim: number): Goal {
  const measure = times('deflate', contest, 'receive, level 1 (default)', 'ws, level 6 (default)');
  return { name: `compressed echo ${contest}, defaults, of ws`, must, aim, measure };
}

/** Resident memory as times that of another contender: the inverse of being as good. */
function idle(size: number, contender: string, base: string, must: number, aim: number): Goal {
  return {
    name: `resident memory of ${size} idle connections, ${contender}, of ${base}`,
    must,
    aim,
    less: true,
    measure: times('memory', `${size} idle connections`, base, contender, 'resident'),
  };
}

/** The goals of issue 19: what must hold, and what a prototype without limits and checks reached. */
export const GOALS: readonly Goal[] = [
  echo('64 x 1 x 16 B', 'receive', 'ws', 1.05, 1.12),
  echo('64 x 1 x 16 B', 'receive', 'mini', 0.93, 0.98),
  echo('64 x 16 x 16 B', 'receive', 'ws', 11, 12.5),
  echo('64 x 16 x 16 B', 'receive', 'raw', 0.78, 0.85),
  echo('64 x 16 x 16 B', 'receive', 'mini', 0.83, 0.9),
  echo('64 x 16 x 16 B', 'receive', 'ws, corked', 2.3, 2.8),
  echo('64 x 16 x 16 B', 'loop', 'ws', 7, 8),
  echo('64 x 16 x 16 B', 'loop', 'raw', 0.5, 0.57),
  echo('64 x 16 x 1 KiB', 'receive', 'ws', 7.2, 8),
  echo('64 x 16 x 1 KiB', 'receive', 'raw', 0.9, 1),
  echo('64 x 16 x 1 KiB', 'receive', 'mini', 0.85, 0.95),
  echo('64 x 16 x 1 KiB', 'receive', 'ws, corked', 1.3, 1.6),
  echo('64 x 16 x 1 KiB', 'loop', 'ws', 5.5, 6.5),
  echo('64 x 16 x 1 KiB', 'loop', 'raw', 0.68, 0.8),
  echo('16 x 1 x 64 KiB', 'receive', 'ws', 3.2, 4),
  echo('16 x 1 x 64 KiB', 'receive', 'raw', 0.75, 0.9),
  echo('16 x 1 x 64 KiB', 'receive', 'ws, corked', 1, 1.2),
  echo('16 x 1 x 64 KiB', 'loop', 'receive', 0.9, 1),
  echo('4 x 1 x 1 MiB', 'receive', 'ws', 4, 4.5),
  echo('4 x 1 x 1 MiB', 'receive', 'raw', 1.3, 1.5),
  echo('4 x 1 x 1 MiB', 'receive', 'ws, corked', 1, 1.2),
  echo('4 x 1 x 1 MiB', 'loop', 'receive', 0.9, 1),
  compressed('64 B x 16 shared', 16, 24),
  compressed('64 B x 1 shared', 4.3, 5),
  compressed('512 B x 16 shared', 7.5, 9),
  compressed('4 KiB x 16 shared', 2.7, 3),
  idle(5000, 'receive', 'bare', 1.25, 1.15),
  idle(15_000, 'receive', 'bare', 1.12, 1.07),
  ...[2500, 5000, 15_000].map((size) => idle(size, 'receive', 'ws', 1, 0.9)),
  idle(5000, 'loop', 'ws', 1, 0.9),
  idle(15_000, 'loop', 'ws', 1, 0.9),
  {
    name: 'live heap of an idle connection over a bare one, receive, bytes',
    must: 850,
    aim: 700,
    less: true,
    measure: heapOverBare,
  },
  ...(
    [
      ['ws', 1, 1.3],
      ['bare', 0.5, 0.65],
    ] as const
  ).map(([base, must, aim]) => ({
    name: `openings with closes, receive, of ${base}`,
    must,
    aim,
    measure: times('handshakes', '2000 connections', 'receive', base, 'both'),
  })),
  {
    name: 'encoding 64 KiB of text, masked, cost of Buffer.from',
    must: 2,
    aim: 1.3,
    less: true,
    measure: times('codec', 'encode text, masked, 64 KiB', 'Buffer.from', 'ours', 'ns'),
  },
  {
    name: 'bytes allocated by our files for a handshake',
    must: 4000,
    aim: 3000,
    less: true,
    elsewhere: 'tests/guard-rails',
  },
];

function heapOverBare(results: Results): Spread | undefined {
  const contest = contestOf(results, 'memory', '5000 idle connections');
  const [own, bare] = ['receive', 'bare'].map(
    (name) => contest && spreadOver(contest, name, 'heap'),
  );
  if (own === undefined || bare === undefined) return undefined;
  const over = (bytes: number): number => bytes - bare.median;
  return { median: over(own.median), least: over(own.least), most: over(own.most) };
}
