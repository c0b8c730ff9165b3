import { FixedDeflater, roomToDeflate } from '@ws/conn/internal';
import { nodeDeflate } from '@ws/node-io';
import { ratios, spreadOf } from '../harness/statistics.ts';
import { jsonLike } from '../load/corpus.ts';
import { bytesName, number, table } from '../report/table.ts';

const SIZES: readonly number[] = [64, 128, 256, 512, 4096];
const COUNT = 64;
const LEVEL = 1;
const WINDOW_BITS = 15;

/** The cost of one message size without zlib, by fixed codes, and with zlib. */
export interface SmallCost {
  readonly size: number;
  /** Microseconds for a message, for each batch. */
  readonly fixed: readonly number[];
  readonly zlib: readonly number[];
  /** Compressed size, as a share of the plain size. */
  readonly fixedShare: number;
  readonly zlibShare: number;
}

/** Measures both ways in this process, without a connection, batch by batch in turn. */
export function measureSmall(batches: number): SmallCost[] {
  const text = Buffer.from(jsonLike(COUNT * Math.max(...SIZES)));
  return SIZES.map((size) => {
    const byFixed = fixedCodes(text, size);
    const byZlib = zlibReset(text, size);
    const fixed: number[] = [];
    const zlib: number[] = [];
    let fixedBytes = 0;
    let zlibBytes = 0;
    for (let batch = 0; batch < batches; batch++) {
      const start = performance.now();
      fixedBytes = byFixed();
      const middle = performance.now();
      zlibBytes = byZlib();
      const end = performance.now();
      fixed.push(((middle - start) * 1000) / COUNT);
      zlib.push(((end - middle) * 1000) / COUNT);
    }
    const plain = COUNT * size;
    return { size, fixed, zlib, fixedShare: fixedBytes / plain, zlibShare: zlibBytes / plain };
  });
}

/** Returns a function that compresses all messages and returns the bytes that they take. */
function fixedCodes(text: Buffer, size: number): () => number {
  const deflater = new FixedDeflater();
  const output = new Uint8Array(roomToDeflate(size));
  return () => {
    let bytes = 0;
    for (let at = 0; at < COUNT * size; at += size) {
      bytes += deflater.deflate(text, at, at + size, output, WINDOW_BITS);
    }
    return bytes;
  };
}

function zlibReset(text: Buffer, size: number): () => number {
  const engine = nodeDeflate.deflater(LEVEL, WINDOW_BITS);
  const output = new Uint8Array(2 * size + 1024);
  return () => {
    let bytes = 0;
    for (let at = 0; at < COUNT * size; at += size) {
      engine.reset(undefined);
      engine.write(text, at, at + size, true, output, 0, output.length);
      bytes += engine.produced - 4;
    }
    return bytes;
  };
}

/** A table of both ways, and of zlib's time as times that of the fixed codes. */
export function smallTable(costs: readonly SmallCost[]): string {
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  return table(
    ['message', 'fixed us', 'left', `zlib level ${LEVEL} us`, 'left', 'x faster'],
    costs.map(({ size, fixed, zlib, fixedShare, zlibShare }) => [
      bytesName(size),
      number(Math.min(...fixed)),
      percent(fixedShare),
      number(Math.min(...zlib)),
      percent(zlibShare),
      number(spreadOf(ratios(zlib, fixed)).median),
    ]),
  );
}
