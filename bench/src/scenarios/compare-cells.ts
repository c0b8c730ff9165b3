import { CONTENDERS, type ContenderName } from '../rivals/contenders.ts';
import type { Entry, Workload } from './compare-echo.ts';

/** Number of receivers of a broadcast. */
export const RECEIVERS = 1000;

/** One kind of traffic. */
export interface Cell {
  readonly name: string;
  readonly workload: Workload;
  /** Our ways of reading that the table of ratios shows. */
  readonly shown: readonly ('receive' | 'loop')[];
}

/** The only cell that measures `readMessage`: one figure is enough. */
const WITH_READ_MESSAGE = '64 x 16 x 16 B';

/** The contenders of a cell. */
export function contendersOf({ name }: Cell): ContenderName[] {
  return CONTENDERS.filter((one) => one !== 'readMessage' || name === WITH_READ_MESSAGE);
}

/** A cell named connections x in flight x size. */
function cell(
  [connections, depth, size]: readonly [number, number, number],
  name: string,
  shown: Cell['shown'],
  content: Workload['content'] = 'binary',
): Cell {
  return { name, workload: { connections, depth, size, content }, shown };
}

/** The cells of the table. */
export const CELLS: readonly Cell[] = [
  cell([64, 1, 16], '64 x 1 x 16 B', ['receive']),
  cell([64, 16, 16], '64 x 16 x 16 B', ['receive', 'loop']),
  cell([64, 16, 1024], '64 x 16 x 1 KiB', ['receive', 'loop']),
  cell([16, 1, 64 * 1024], '16 x 1 x 64 KiB', ['receive']),
  cell([4, 1, 1024 * 1024], '4 x 1 x 1 MiB', ['receive']),
  cell([64, 16, 128], 'text 64 x 16 x 128 B ASCII', ['receive'], 'ascii'),
  cell([16, 4, 16 * 1024], 'text 16 x 4 x 16 KiB ASCII', ['receive'], 'ascii'),
  cell([16, 4, 16 * 1024], 'text 16 x 4 x 16 KiB mixed scripts', ['receive'], 'mixed'),
];

/** The same work on a small and on a large scale. */
export interface Growth {
  readonly name: string;
  /** The unit whose cost is compared. */
  readonly unit: string;
  readonly contenders: readonly Entry['contender'][];
  readonly small: Workload;
  readonly large: Workload;
  /** Number of units in a message. */
  readonly units: (workload: Workload) => number;
  /** Whether each contender needs all open files for its two sizes. */
  readonly alone: boolean;
}

/** The growths: connections, limited by the open files; size; fragments. */
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
      alone: true,
    },
    {
      name: '1 -> 16 MiB a message',
      unit: 'byte',
      contenders: ['receive', 'ws', 'raw'],
      small: { ...one, size: MIB },
      large: { ...one, size: 16 * MIB },
      units: ({ size }) => size,
      alone: false,
    },
    {
      name: '1,000 -> 100,000 fragments',
      unit: 'fragment',
      // ws rejects more than 16,384 fragments by default.
      contenders: ['receive', 'loop'],
      small: pieces(1000),
      large: pieces(100_000),
      units: ({ fragments = 1 }) => fragments,
      alone: false,
    },
  ];
}

/** The traffic whose garbage is counted. */
export const HEAP_CELLS: readonly Cell[] = [
  cell([32, 1, 16], '32 x 1 x 16 B', []),
  cell([32, 16, 16], '32 x 16 x 16 B', []),
  cell([32, 16, 1024], '32 x 16 x 1 KiB', []),
];
