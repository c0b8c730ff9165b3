import type { Deflater, History, Inflater } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import { jsonLike } from '../load/corpus.ts';
import { bytesName, number, table } from '../report/table.ts';

/** The cost of a choice for one message size. */
interface Cost {
  readonly size: number;
  /** Microseconds for a message, from the fastest batch. */
  readonly us: number;
  /** Compressed size, as a share of the plain size. */
  readonly share: number;
}

/** The costs of one value of an option. */
export interface OptionCost {
  readonly option: string;
  readonly costs: readonly Cost[];
}

interface Choice {
  readonly option: string;
  readonly level: number;
  readonly windowBits: number;
  /** Bytes of history for each message; `all`: the compressor keeps them. */
  readonly history: number | 'all';
}

const SIZES: readonly number[] = [64, 512, 4096];
const COUNT = 64;
const LARGEST_WINDOW = 32_768;

const CHOICES: readonly Choice[] = [
  ...[-2, 1, 3, 6, 9].map((level) => ({
    option: level === 1 ? 'level 1 (default)' : `level ${level}`,
    level,
    windowBits: 15,
    history: 0,
  })),
  ...[9, 12].map((windowBits) => ({
    option: `window of ${windowBits} bits`,
    level: 1,
    windowBits,
    history: 0,
  })),
  ...[512, 2048, LARGEST_WINDOW].map((history) => ({
    option: `takeover, sendHistory ${history}`,
    level: 1,
    windowBits: 15,
    history,
  })),
  ...[1, 6].map((level) => ({
    option: `takeover, own compressor, level ${level}`,
    level,
    windowBits: 15,
    history: 'all' as const,
  })),
];

/** Measures each choice in this process, without a connection. */
export function measureOptions(batches: number): OptionCost[] {
  const text = Buffer.from(jsonLike(LARGEST_WINDOW + COUNT * Math.max(...SIZES)));
  return CHOICES.map((choice) => {
    const engine = nodeDeflate.deflater(choice.level, choice.windowBits);
    const costs = SIZES.map((size) => costOf(engine, choice, text, size, batches));
    engine.close();
    return { option: choice.option, costs };
  });
}

function costOf(
  engine: Deflater,
  { history }: Choice,
  text: Buffer,
  size: number,
  batches: number,
): Cost {
  const output = new Uint8Array(2 * size + 1024);
  let us = Infinity;
  let bytes = 0;
  for (let batch = 0; batch < batches; batch++) {
    bytes = 0;
    engine.reset(undefined);
    const start = performance.now();
    for (let i = 0; i < COUNT; i++) {
      const from = LARGEST_WINDOW + i * size;
      if (history !== 'all') engine.reset(history === 0 ? undefined : tail(text, from, history));
      engine.write(text, from, from + size, true, output, 0, output.length);
      bytes += engine.produced - 4;
    }
    us = Math.min(us, ((performance.now() - start) * 1000) / COUNT);
  }
  return { size, us, share: bytes / (COUNT * size) };
}

/** Measures inflating with different lengths of history. */
export function measureInflating(batches: number): OptionCost[] {
  const text = Buffer.from(jsonLike(LARGEST_WINDOW + COUNT * Math.max(...SIZES)));
  const inflater = nodeDeflate.inflater();
  const deflater = nodeDeflate.deflater(1, 15);
  const costs = [0, 4096, LARGEST_WINDOW].map((history) => ({
    option:
      history === 0 ? 'inflate (default)' : `inflate, window of ${bytesName(history)} to feed`,
    costs: SIZES.map((size) => inflateCost(inflater, deflater, text, size, history, batches)),
  }));
  inflater.close();
  deflater.close();
  return costs;
}

function inflateCost(
  inflater: Inflater,
  deflater: Deflater,
  text: Buffer,
  size: number,
  history: number,
  batches: number,
): Cost {
  const messages = Array.from({ length: COUNT }, (_, i) => {
    const from = LARGEST_WINDOW + i * size;
    const room = new Uint8Array(2 * size + 1024);
    deflater.reset(history === 0 ? undefined : tail(text, from, history));
    deflater.write(text, from, from + size, true, room, 0, room.length);
    return room.slice(0, deflater.produced - 4);
  });
  const output = new Uint8Array(size + 1);
  inflater.limit = size;
  let us = Infinity;
  for (let batch = 0; batch < batches; batch++) {
    const start = performance.now();
    for (const [i, message] of messages.entries()) {
      const from = LARGEST_WINDOW + i * size;
      inflater.reset(history === 0 ? undefined : tail(text, from, history));
      inflater.write(message, 0, message.length, true, output, 0, output.length);
      if (inflater.produced !== size) throw new Error(`inflated to ${inflater.produced} bytes`);
    }
    us = Math.min(us, ((performance.now() - start) * 1000) / COUNT);
  }
  return {
    size,
    us,
    share: messages.reduce((sum, { length }) => sum + length, 0) / (COUNT * size),
  };
}

/** The text before `end`, as a connection stores it. */
function tail(text: Buffer, end: number, length: number): History {
  return {
    length,
    copyTo: (into, at) => void text.copy(into, at, end - length, end),
  };
}

/** A table of microseconds for a message and of its compressed share. */
export function optionsTable(costs: readonly OptionCost[]): string {
  const sizes = costs[0]?.costs.map(({ size }) => bytesName(size)) ?? [];
  return table(
    ['', ...sizes.flatMap((size) => [`${size}, us`, 'left'])],
    costs.map(({ option, costs: cells }) => [
      option,
      ...cells.flatMap(({ us, share }) => [number(us), `${Math.round(share * 100)} %`]),
    ]),
  );
}
