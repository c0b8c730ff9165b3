// Bundled once with each codec, so that the two share no function and no optimization by the
// engine.
import { type Role, unmask } from '@ws/codec';
import type { Batch } from '../harness/batches.ts';
import { bytesName } from '../report/table.ts';
import { frameStream } from '../rivals/frame-stream.ts';
import { decodeCommitted, decodePushed, encodeBinary, encodeText } from '../rivals/ours.ts';

/** The measured work, by name. */
export type Subjects = Map<string, { batch: Batch; units: number }>;

const CHUNK = 64 * 1024;
const SIZES: readonly number[] = [16, 125, 1024, 65_536, 1_048_576];
const TEXTS: readonly number[] = [16, 125, 1024];

/** The codec's work for a frame, in batches. */
export function subjects(): Subjects {
  const all: Subjects = new Map();
  for (const masked of [true, false]) {
    for (const bytes of SIZES) addDecoding(all, bytes, masked);
    for (const bytes of SIZES) addEncoding(all, bytes, masked);
    for (const bytes of TEXTS) addText(all, bytes, masked);
  }
  for (const bytes of [1024, 65_536]) addUnmasking(all, bytes);
  return all;
}

function nameOf(what: string, bytes: number, masked: boolean): string {
  return `${what} ${bytesName(bytes)}${masked ? ', masked' : ''}`;
}

function addDecoding(all: Subjects, bytes: number, masked: boolean): void {
  const role: Role = masked ? 'server' : 'client';
  const { stream, frames } = frameStream(bytes, masked);
  const { batch } = decodePushed(stream, CHUNK, role, 'assembled');
  all.set(nameOf('decode', bytes, masked), { batch, units: frames });
  if (bytes !== 1024) return;
  const committed = decodeCommitted(stream, role, 'assembled');
  all.set(nameOf('decode committed', bytes, masked), { batch: committed, units: frames });
}

function addEncoding(all: Subjects, bytes: number, masked: boolean): void {
  const units = Math.max(4, Math.floor((256 * 1024) / bytes));
  const batch = encodeBinary(Buffer.alloc(bytes, 'payload'), units, masked ? 'client' : 'server');
  all.set(nameOf('encode', bytes, masked), { batch, units });
}

function addText(all: Subjects, bytes: number, masked: boolean): void {
  const units = Math.floor((256 * 1024) / bytes);
  const text = 'lorem ipsum, '.repeat(bytes).slice(0, bytes);
  const batch = encodeText(text, units, masked ? 'client' : 'server');
  all.set(nameOf('encode text', bytes, masked), { batch, units });
}

function addUnmasking(all: Subjects, bytes: number): void {
  const units = Math.floor(4e6 / bytes);
  const payload = new Uint8Array(bytes + 1);
  const batch = (): void => {
    for (let i = 0; i < units; i++) unmask(payload, 1, bytes + 1, 0x37fa213d);
  };
  all.set(nameOf('unmask', bytes, false), { batch, units });
}
