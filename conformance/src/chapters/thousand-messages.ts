import { slices } from '../tables/real-data.ts';
import { bytesText } from '../wire/frame.ts';
import type { CompressedRow } from './rows.ts';

/** The sizes of Autobahn's compressed messages in bytes, some with those of their fragments. */
const SIZES: readonly (readonly [size: number, fragment?: number])[] = [
  [16],
  [64],
  [256],
  [1024],
  [4096],
  [8192],
  [16_384],
  [32_768],
  [65_536],
  [131_072],
  [8192, 256],
  [16_384, 256],
  [32_768, 256],
  [65_536, 256],
  [131_072, 256],
  [131_072, 1024],
  [131_072, 4096],
  [131_072, 32_768],
];

/** Creates rows of 1000 compressed messages of each size, of the bytes that `make` creates. */
export function thousands(
  name: string,
  opcode: number,
  make: (size: number) => Buffer,
): CompressedRow[] {
  return SIZES.map(([size, fragment]) => {
    const how = fragment === undefined ? '' : `, in fragments of ${bytesText(fragment)}`;
    return {
      title: `1000 compressed messages of ${bytesText(size)} of ${name}${how}`,
      *messages() {
        for (const payload of slices(make, size, 1000)) yield { opcode, payload };
      },
      ...(fragment !== undefined && { fragment }),
    };
  });
}
