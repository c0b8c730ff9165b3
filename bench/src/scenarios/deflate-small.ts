import { type Deflater, pureDeflate } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import { ratios, spreadOf } from '../harness/statistics.ts';
import { jsonLike } from '../load/corpus.ts';
import { bytesName, number, table } from '../report/table.ts';

const SIZES: readonly number[] = [64, 128, 256, 512, 4096];
const COUNT = 64;
const LEVEL = 1;
const WINDOW_BITS = 15;
const output = new Uint8Array(2 * Math.max(...SIZES));

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
  const byFixed = pureDeflate.deflater(LEVEL, WINDOW_BITS);
  const byZlib = nodeDeflate.deflater(LEVEL, WINDOW_BITS);
  const costs = SIZES.map((size) => {
    const fixed: number[] = [];
    const zlib: number[] = [];
    let fixedBytes = 0;
    let zlibBytes = 0;
    for (let batch = 0; batch < batches; batch++) {
      const start = performance.now();
      fixedBytes = compressAll(byFixed, text, size);
      const middle = performance.now();
      zlibBytes = compressAll(byZlib, text, size);
      const end = performance.now();
      fixed.push(((middle - start) * 1000) / COUNT);
      zlib.push(((end - middle) * 1000) / COUNT);
    }
    const plain = COUNT * size;
    return { size, fixed, zlib, fixedShare: fixedBytes / plain, zlibShare: zlibBytes / plain };
  });
  byZlib.close();
  return costs;
}

/** Compresses each message alone. Returns the bytes that they take. */
function compressAll(engine: Deflater, text: Buffer, size: number): number {
  let bytes = 0;
  for (let at = 0; at < COUNT * size; at += size) {
    engine.reset(undefined);
    engine.write(text, at, at + size, true, output, 0, output.length);
    bytes += engine.produced - 4;
  }
  return bytes;
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
