import { spreadOver } from '../harness/runner.ts';
import type { Spread } from '../harness/statistics.ts';
import { KEEPING } from '../rivals/contenders.ts';
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
function idle(contender: string, base: string, must: number, aim: number): Goal {
  return {
    name: `resident memory of ${MANY} idle connections, ${contender}, of ${base}`,
    must,
    aim,
    less: true,
    measure: times('memory', `${MANY} idle connections`, base, contender, 'resident'),
  };
}

function handshakes(base: string, must: number, aim: number): Goal {
  const measure = times('handshakes', '2000 connections', 'receive', base, 'both');
  return { name: `openings with closes, receive, of ${base}`, must, aim, measure };
}

/** The same rows with `ws` as its client. */
function client(contest: string, must: number, aim: number): Goal {
  const measure = times('client', contest, 'ours', 'ws');
  return { name: `client ${contest}, of ws`, must, aim, measure };
}

/** A cost that another command measures. */
function most(name: string, must: number, aim: number, elsewhere: string): Goal {
  return { name, must, aim, less: true, elsewhere };
}

const [A, B, C, D, E] = [
  '64 x 1 x 16 B',
  '64 x 16 x 16 B',
  '64 x 16 x 1 KiB',
  '16 x 1 x 64 KiB',
  '4 x 1 x 1 MiB',
] as const;
const MANY = 15_000;
const LOAD = 'the load generator';

/** What must hold, because a prototype reached it or it follows from one, and what is beyond. */
export const GOALS: readonly Goal[] = [
  echo(A, 'receive', 'ws', 1.2, 1.4),
  echo(A, 'loop', 'ws', 1.05, 1.2),
  echo(B, 'receive', 'raw1', 0.78, 0.9),
  echo(B, 'receive', 'ws', 12, 15),
  echo(B, 'loop', 'raw1', 0.5, 0.6),
  echo(B, 'loop', 'ws', 7.5, 9),
  echo(C, 'receive', 'raw1', 0.7, 0.8),
  echo(C, 'receive', 'ws', 12.5, 16),
  echo(C, 'receive', 'bun', 1.25, 1.4),
  echo(C, 'receive', 'ws, corked', 2.4, 3),
  echo(C, 'loop', 'raw1', 0.4, 0.47),
  echo(C, 'loop', 'ws', 7.4, 8.6),
  echo(D, 'receive', 'raw1', 0.75, 0.9),
  echo(D, 'receive', 'ws', 5.5, 7),
  echo(D, 'receive', 'bun', 1.3, 1.8),
  echo(D, 'receive', 'ws, corked', 2, 2.5),
  echo(D, 'loop', 'raw1', 0.2, 0.3),
  echo(D, KEEPING, 'raw1', 0.6, 0.7),
  echo(E, 'receive', 'raw1', 0.85, 1.1),
  echo(E, 'receive', 'ws', 4.8, 7),
  echo(E, 'receive', 'bun', 1.3, 1.7),
  echo(E, 'receive', 'ws, corked', 1.15, 1.3),
  echo(E, 'loop', 'raw1', 0.4, 0.5),
  echo(E, KEEPING, 'raw1', 0.8, 1),
  echo('text 16 x 4 x 16 KiB ASCII', 'receive', 'ws, native mask', 2.2, 3),
  echo('1 x 1 x 16 MiB', 'receive', 'ws, native mask', 1.1, 1.3),
  echo(`wss ${B}`, 'receive', 'ws, native mask', 3.2, 3.6),
  echo(`wss ${D}`, 'receive', 'ws, native mask', 1.8, 2.2),
  client(B, 6, 8),
  ...[C, D, E].map((contest) => ({
    name: `client ${contest}, of ours at 44739edf`,
    must: 1.3,
    aim: 1.3,
    elsewhere: '`pnpm bench client --against DIR`',
  })),
  {
    name: `live heap of an idle connection, ${MANY} of them, receive, bytes`,
    must: 1750,
    aim: 1450,
    less: true,
    measure: (results) => figure(results, 'receive', 'heap'),
  },
  idle('receive', 'bare', 1.06, 1.02),
  idle('loop', 'ws', 1, 0.85),
  handshakes('ws', 1.05, 1.1),
  handshakes('bare', 0.65, 0.7),
  {
    name: 'openings with closes of a fresh process, first 2,000, of ws',
    must: 0.9,
    aim: 1.1,
    elsewhere: LOAD,
  },
  most(`${MANY} peers vanish at once, CPU, of ws`, 1, 0.9, LOAD),
  most('the same, of a bare socket', 1.3, 1.15, LOAD),
  most('the same, longest turn, of ws', 1, 0.9, LOAD),
  most(`server.close() with ${MANY} connections, CPU, of ws`, 1, 0.8, LOAD),
  most('@ws/conn, gzip, kB', 32, 28, '`pnpm check size`'),
  compressed('512 B x 16 shared', 6.4, 8),
];

function figure(results: Results, contender: string, metric: string): Spread | undefined {
  const contest = contestOf(results, 'memory', `${MANY} idle connections`);
  return contest && spreadOver(contest, contender, metric);
}
