import type { Goal } from '../report/goal.ts';
import { CONTENDERS, type ContenderName } from '../rivals/contenders.ts';
import type { Entry, Workload } from './compare-echo.ts';

/** Who get what is broadcast. */
export const RECEIVERS = 1000;

/** One kind of traffic, and what is to be reached with it. */
export interface Cell {
  readonly name: string;
  readonly workload: Workload;
  readonly goals: readonly CellGoal[];
}

/** Where `readMessage` stands besides: it has no goal of its own, and one figure says what there is to say. */
const WITH_READ_MESSAGE = '64 x 16 x 16 B';

/** Who echoes this. */
export function contendersOf({ name }: Cell): ContenderName[] {
  return CONTENDERS.filter((one) => one !== 'readMessage' || name === WITH_READ_MESSAGE);
}

/** How many times as many messages per CPU second as ws and as raw TCP. */
interface CellGoal {
  readonly contender: 'receive' | 'loop';
  readonly ws: Goal;
  readonly raw?: Goal;
}

/** How a workload is called: connections x in flight x size. */
function cell(
  [connections, depth, size]: readonly [number, number, number],
  name: string,
  goals: readonly CellGoal[],
  content: Workload['content'] = 'binary',
): Cell {
  return { name, workload: { connections, depth, size, content }, goals };
}

/** The workloads of the table. */
export const CELLS: readonly Cell[] = [
  cell([64, 1, 16], '64 x 1 x 16 B', [
    { contender: 'receive', ws: { must: 1.05, aim: 1.1 }, raw: { must: 0.9, aim: 0.95 } },
  ]),
  cell([64, 16, 16], '64 x 16 x 16 B', [
    { contender: 'receive', ws: { must: 7, aim: 9 }, raw: { must: 0.6, aim: 0.8 } },
    { contender: 'loop', ws: { must: 5, aim: 7 }, raw: { must: 0.45, aim: 0.6 } },
  ]),
  cell([64, 16, 1024], '64 x 16 x 1 KiB', [
    { contender: 'receive', ws: { must: 5.5, aim: 7.5 }, raw: { must: 0.75, aim: 1 } },
    { contender: 'loop', ws: { must: 4.3, aim: 6 }, raw: { must: 0.55, aim: 0.75 } },
  ]),
  cell([16, 1, 64 * 1024], '16 x 1 x 64 KiB', [
    { contender: 'receive', ws: { must: 2.2, aim: 3.1 }, raw: { must: 0.7, aim: 1 } },
  ]),
  cell([4, 1, 1024 * 1024], '4 x 1 x 1 MiB', [
    { contender: 'receive', ws: { must: 2.4, aim: 3.5 }, raw: { must: 0.95, aim: 1.4 } },
  ]),
  cell(
    [64, 16, 128],
    'text 64 x 16 x 128 B ASCII',
    [{ contender: 'receive', ws: { must: 6, aim: 8 } }],
    'ascii',
  ),
  cell(
    [16, 4, 16 * 1024],
    'text 16 x 4 x 16 KiB ASCII',
    [{ contender: 'receive', ws: { must: 2.4, aim: 3.3 } }],
    'ascii',
  ),
  cell(
    [16, 4, 16 * 1024],
    'text 16 x 4 x 16 KiB mixed scripts',
    [{ contender: 'receive', ws: { must: 6, aim: 12 } }],
    'mixed',
  ),
];

/** Something that is done on a small and on a large scale, and what the large one may cost. */
export interface Growth {
  readonly name: string;
  /** What is counted: the cost is that of one of them. */
  readonly unit: string;
  readonly contenders: readonly Entry['contender'][];
  readonly small: Workload;
  readonly large: Workload;
  /** How many units a message has. */
  readonly units: (workload: Workload) => number;
  /** How often the small cost may go into the large one. */
  readonly goal: Goal;
  /** Whether both sizes of one contender are all that can be open at a time. */
  readonly alone: boolean;
}

/** What grows: connections (bounded by the files that may be open), size, fragments. */
export function growths(connections: number): Growth[] {
  const one: Workload = { connections: 1, depth: 1, size: 0, content: 'binary' };
  const small: Workload = { ...one, connections: 10, size: 16 };
  const MIB = 1024 * 1024;
  const pieces = (fragments: number): Workload => ({ ...one, size: 10 * fragments, fragments });
  return [
    {
      name: `10 -> ${connections} connections`,
      unit: 'message',
      contenders: ['receive', 'ws', 'raw'],
      small,
      large: { ...small, connections },
      units: () => 1,
      // 15 % fewer messages per CPU second.
      goal: { must: 1.176, aim: 1 },
      alone: true,
    },
    {
      name: '1 -> 16 MiB a message',
      unit: 'byte',
      contenders: ['receive', 'ws', 'raw'],
      small: { ...one, size: MIB },
      large: { ...one, size: 16 * MIB },
      units: ({ size }) => size,
      goal: { must: 1, aim: 1 },
      alone: false,
    },
    {
      name: '1,000 -> 100,000 fragments',
      unit: 'fragment',
      // ws refuses more than 16,384 by default.
      contenders: ['receive', 'loop'],
      small: pieces(1000),
      large: pieces(100_000),
      units: ({ fragments = 1 }) => fragments,
      goal: { must: 1.2, aim: 1 },
      alone: false,
    },
  ];
}

/** Traffic whose garbage is counted. */
export const HEAP_CELLS: readonly Cell[] = [
  cell([32, 1, 16], '32 x 1 x 16 B', []),
  cell([32, 16, 16], '32 x 16 x 16 B', []),
  cell([32, 16, 1024], '32 x 16 x 1 KiB', []),
];

/** Heap bytes for a message beyond those of a TCP echo. */
export const HEAP_GOAL: Goal = { must: 16, aim: 16 };
