import { sharedMessageBuffers, unmask } from '@ws/codec';
import type { Subject } from '../harness/batches.ts';
import { bytesName } from '../report/table.ts';
import * as classes from './classes.ts';
import { frameStream } from './frame-stream.ts';
import type { Kernels } from './kernels.ts';
import * as ours from './ours.ts';
import { textOf, VALIDATORS } from './utf8.ts';
import * as ws from './ws.ts';

const CHUNK = 64 * 1024;
const SIZES: readonly number[] = [16, 1024, 65_536];
const MIXED: readonly number[] = [16, 300, 64, 5000, 16, 1200, 40, 20_000];

/** Decoding, encoding, unmasking and checking of UTF-8, by contest. */
export const codecKernels: Kernels = Object.fromEntries(
  [true, false].flatMap((masked): [string, () => Record<string, Subject>][] => {
    const kind = masked ? 'masked' : 'unmasked';
    return [
      ...SIZES.map((bytes): [string, () => Record<string, Subject>] => [
        `find frames, ${kind}, ${bytesName(bytes)}`,
        () => finding([bytes], masked),
      ]),
      [`find frames, ${kind}, mixed sizes`, () => finding(MIXED, masked)],
      ...SIZES.map((bytes): [string, () => Record<string, Subject>] => [
        `encode, ${kind}, ${bytesName(bytes)}`,
        () => encoding(Buffer.alloc(bytes, 'payload'), bytes, masked),
      ]),
      ...SIZES.map((bytes): [string, () => Record<string, Subject>] => [
        `encode text, ${kind}, ${bytesName(bytes)}`,
        () => encoding(ascii(bytes), bytes, masked),
      ]),
    ];
  }),
);

for (const bytes of SIZES) {
  codecKernels[`echo on your own transport, ${bytesName(bytes)}`] = () => echoing(bytes);
}
for (const bytes of SIZES) {
  codecKernels[`read messages, ${bytesName(bytes)}`] = () => classes.reading(bytes);
}
for (const together of [1, 16]) {
  for (const bytes of SIZES) {
    const name = `write messages, ${together} a flush, ${bytesName(bytes)}`;
    codecKernels[name] = () => classes.writing(bytes, together);
  }
}
for (const bytes of SIZES.slice(1)) {
  codecKernels[`unmask ${bytesName(bytes)}`] = () => unmasking(bytes);
}
for (const mixed of [false, true]) {
  for (const bytes of [16, 128, 16_384]) {
    const what = mixed ? 'mixed scripts' : 'ASCII';
    codecKernels[`check UTF-8, ${bytesName(bytes)}, ${what}`] = () => checking(bytes, mixed);
  }
}

function finding(sizes: readonly number[], masked: boolean): Record<string, Subject> {
  const role = masked ? 'server' : 'client';
  const { stream, frames } = frameStream(sizes, masked);
  // The Receiver of ws does other work: it delivers messages.
  return { ours: { batch: ours.decodePushed(stream, CHUNK, role), units: frames } };
}

function echoing(bytes: number): Record<string, Subject> {
  const { stream, frames } = frameStream([bytes], true);
  return { ours: { batch: ours.echo(stream), units: frames } };
}

function encoding(data: Buffer | string, bytes: number, masked: boolean): Record<string, Subject> {
  const role = masked ? 'client' : 'server';
  const units = Math.max(4, Math.floor((256 * 1024) / bytes));
  const own =
    typeof data === 'string'
      ? ours.encodeText(data, units, role)
      : ours.encodeBinary(data, units, role);
  const subjects = {
    ours: { batch: own, units },
    ws: { batch: ws.encode(data, units, role), units },
  };
  if (typeof data !== 'string') return subjects;
  const copy = (): void => {
    for (let i = 0; i < units; i++) Buffer.from(data);
  };
  return { ...subjects, 'Buffer.from': { batch: copy, units } };
}

function ascii(bytes: number): string {
  // From a Buffer: a concatenated string would be flattened in the first round.
  return Buffer.alloc(bytes, 'lorem ipsum, ').toString('latin1');
}

function unmasking(bytes: number): Record<string, Subject> {
  const units = Math.max(1, Math.floor(1e7 / Math.max(bytes, 4096)));
  const foreign = new Uint8Array(bytes + 1);
  const inside = sharedMessageBuffers().take(bytes + 1);
  const copied = new Uint8Array(2 * bytes + 1);
  const repeated = (work: () => void): Subject => ({
    units,
    batch: () => {
      for (let i = 0; i < units; i++) work();
    },
  });
  return {
    ours: repeated(() => unmask(foreign, 1, bytes + 1, 0x37fa213d)),
    'ours, in SIMD memory': repeated(() => unmask(inside, 1, bytes + 1, 0x37fa213d)),
    memcpy: repeated(() => copied.copyWithin(1, bytes + 1, 2 * bytes + 1)),
  };
}

function checking(bytes: number, mixed: boolean): Record<string, Subject> {
  const text = textOf(bytes, mixed);
  const units = Math.max(1, Math.floor(1e6 / Math.max(bytes, 16)));
  return Object.fromEntries(
    [...VALIDATORS].map(([name, validate]) => {
      const batch = (): void => {
        for (let i = 0; i < units; i++) {
          if (!validate(text)) throw new Error('valid text was rejected');
        }
      };
      return [name, { batch, units }];
    }),
  );
}
