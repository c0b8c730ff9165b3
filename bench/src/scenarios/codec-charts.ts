import type { BarChart } from '../report/chart.ts';
import { bytesName } from '../report/table.ts';
import type { Row, WorkerResult } from './codec-worker.ts';

const RATIO = {
  kind: 'bars',
  unit: 'times as fast as ws',
  line: { name: 'ws', value: 1 },
} as const;

interface Picture {
  readonly title: string;
  readonly note: string;
  readonly what: readonly Row['what'][];
  readonly masked: boolean;
  /** The way of ours that the chart compares with ws. */
  readonly way: string;
}

const PICTURES: readonly Picture[] = [
  {
    title: 'Decode, server',
    note: 'Masked frames in chunks of 64 KiB, next to the Receiver of ws.',
    what: ['decode'],
    masked: true,
    way: 'push',
  },
  {
    title: 'Encode, server',
    note: 'Frames without mask, next to the Sender of ws.',
    what: ['encode', 'encode text'],
    masked: false,
    way: 'ours',
  },
  {
    title: 'Decode, client',
    note: 'Frames without mask in chunks of 64 KiB, next to the Receiver of ws.',
    what: ['decode'],
    masked: false,
    way: 'push',
  },
  {
    title: 'Encode, client',
    note: 'Masked frames, next to the Sender of ws.',
    what: ['encode', 'encode text'],
    masked: true,
    way: 'ours',
  },
];

/**
 * Speed as times that of ws, from the fastest batch of each. The fastest batch has no spread.
 *
 * @param timed - With bufferutil, where it is loaded.
 * @param plain - Without bufferutil.
 */
export function codecCharts(timed: WorkerResult, plain: WorkerResult): BarChart[] {
  const sides = [
    ...(timed.bufferutil ? [{ name: 'against ws with bufferutil', result: timed }] : []),
    { name: 'against ws without bufferutil', result: plain },
  ];
  return PICTURES.map(({ title, note, what, masked, way }) => {
    const kinds = what.flatMap((kind) =>
      plain.rows.filter((row) => row.what === kind && row.masked === masked),
    );
    return {
      ...RATIO,
      title,
      note,
      labels: kinds.map(
        ({ what: kind, bytes }) => `${kind === 'encode text' ? 'text ' : ''}${bytesName(bytes)}`,
      ),
      series: sides.map(({ name, result }) => ({
        name,
        values: kinds.map((kind) => ratio(find(result, kind), way)),
      })),
    };
  });
}

function find({ rows }: WorkerResult, kind: Row): Row | undefined {
  return rows.find(
    ({ what, masked, bytes }) =>
      what === kind.what && masked === kind.masked && bytes === kind.bytes,
  );
}

function ratio(row: Row | undefined, way: string): number | null {
  const ws = row?.times['ws']?.min;
  const own = row?.times[way]?.min;
  return ws === undefined || own === undefined ? null : ws / own;
}
