import type { Deflater, History, Inflater } from '@ws/deflate';
import { nodeDeflate } from '@ws/node-io';
import type { Subject } from '../harness/batches.ts';
import { jsonLike } from '../load/corpus.ts';
import { bytesName } from '../report/table.ts';
import type { Kernels } from './kernels.ts';

const SIZES: readonly number[] = [64, 128, 256, 512, 4096];
const COUNT = 64;
const WINDOW = 32_768;
/** Bytes that end each compressed message and are not sent. */
const TAIL = 4;
const text = Buffer.from(jsonLike(WINDOW + COUNT * Math.max(...SIZES)));

interface Choice {
  readonly level?: number;
  readonly windowBits?: number;
  /** Whether the compressor keeps its context between messages. */
  readonly takeover?: boolean;
}

const CHOICES: Readonly<Record<string, Choice>> = {
  'level -2': { level: -2 },
  'level 1 (default)': {},
  'level 3': { level: 3 },
  'level 6': { level: 6 },
  'level 9': { level: 9 },
  'window of 9 bits': { windowBits: 9 },
  'window of 12 bits': { windowBits: 12 },
  'takeover, own compressor, level 1': { takeover: true },
  'takeover, own compressor, level 6': { level: 6, takeover: true },
};

/** The cost of each option of compression, without a connection, by message size. */
export const engineKernels: Kernels = Object.fromEntries(
  SIZES.map((size) => [`engines, ${bytesName(size)}`, () => engines(size)]),
);

function engines(size: number): Record<string, Subject> {
  const deflating = Object.entries(CHOICES).map(([name, choice]) => [name, deflate(choice, size)]);
  return Object.fromEntries([
    ...deflating,
    ['inflate', inflate(size, 0)],
    ['inflate, window of 32 KiB to load', inflate(size, WINDOW)],
  ]) as Record<string, Subject>;
}

function deflate({ level = 1, windowBits = 15, takeover = false }: Choice, size: number): Subject {
  const deflater = nodeDeflate.deflater(level, windowBits);
  const output = new Uint8Array(2 * size + 1024);
  let bytes = 0;
  const batch = (): void => {
    bytes = 0;
    deflater.reset();
    for (let i = 0; i < COUNT; i++) {
      if (!takeover) deflater.reset();
      bytes += compress(deflater, WINDOW + i * size, size, output);
    }
  };
  return { batch, units: COUNT, left: () => (100 * bytes) / (COUNT * size) };
}

/** @returns Bytes of the compressed message. */
function compress(deflater: Deflater, from: number, size: number, output: Uint8Array): number {
  deflater.write(text, from, from + size, true, output, 0, output.length);
  return deflater.produced - TAIL;
}

function inflate(size: number, history: number): Subject {
  const inflater: Inflater = nodeDeflate.inflater();
  const deflater = nodeDeflate.deflater(1, 15);
  const messages = Array.from({ length: COUNT }, (_, i) => {
    const output = new Uint8Array(2 * (size + history) + 1024);
    const from = WINDOW + i * size;
    deflater.reset();
    if (history > 0) compress(deflater, from - history, history, output);
    return output.slice(0, compress(deflater, from, size, output));
  });
  const output = new Uint8Array(size + 1);
  const batch = (): void => {
    for (const [i, message] of messages.entries()) {
      inflater.reset(history === 0 ? undefined : tail(WINDOW + i * size, history));
      inflater.write(message, 0, message.length, true, output, 0, output.length, size);
      if (inflater.produced !== size) throw new Error(`inflated to ${inflater.produced} bytes`);
    }
  };
  return { batch, units: COUNT };
}

/** The text before `end`, as a connection stores it. */
function tail(end: number, length: number): History {
  return {
    length,
    copyTo: (into, at) => void text.copy(into, at, end - length, end),
  };
}
