// Runs in its own process: `time` or `heap`, with or without bufferutil. Prints one JSON document.
import { type Role, sharedMessageBuffers, unmask } from '@ws/codec';
import { type Batch, heapPerUnit, type Time, timeInterleaved } from '../harness/batches.ts';
import { frameStream } from '../rivals/frame-stream.ts';
import * as ours from '../rivals/ours.ts';
import { textOf, VALIDATORS } from '../rivals/utf8.ts';
import * as ws from '../rivals/ws.ts';

const CHUNK = 64 * 1024;
export const SIZES: readonly number[] = [16, 32, 125, 1024, 65536, 1048576];
const TEXTS: readonly number[] = [16, 125, 1024, 16_384, 65_536, 1_048_576];
const LONG_TEXTS: readonly number[] = TEXTS.slice(3);

/** A row of the result: one kind of work, by subject. */
export interface Row {
  readonly what:
    | 'decode'
    | 'encode'
    | 'encode text'
    | 'encode text, last é'
    | 'unmask'
    | 'validate'
    | 'validate mixed';
  readonly masked: boolean;
  readonly bytes: number;
  readonly times: Record<string, Time>;
  readonly heap: Record<string, number>;
}

export interface WorkerResult {
  readonly bufferutil: boolean;
  readonly rows: readonly Row[];
}

interface Subject {
  batch: Batch;
  units: number;
  /** Number of chunks in a batch. The contract allows one view of 128 bytes for each. */
  chunksPerBatch?: number;
}

const mode = process.argv[2] === 'heap' ? 'heap' : 'time';
const rounds = process.argv[3] === 'quick' ? 4 : 30;

function measure(
  what: Row['what'],
  masked: boolean,
  bytes: number,
  subjects: Map<string, Subject>,
): Row {
  const times: Record<string, Time> = {};
  const heap: Record<string, number> = {};
  if (mode === 'time') {
    for (const [name, time] of timeInterleaved(subjects, rounds)) times[name] = time;
  } else {
    for (const [name, { batch, units, chunksPerBatch = 0 }] of subjects) {
      const mine = name !== 'ws';
      const frames = mine ? Math.min(1e6, 2e9 / bytes) : Math.min(60_000, 5e8 / bytes);
      heap[name] = heapPerUnit(batch, units, frames);
      if (chunksPerBatch > 0) heap[`${name} chunks`] = chunksPerBatch / units;
    }
  }
  return { what, masked, bytes, times, heap };
}

function decode(bytes: number, masked: boolean): Row {
  const role: Role = masked ? 'server' : 'client';
  const { stream, frames } = frameStream(bytes, masked);
  const pushed = ours.decodePushed(stream, CHUNK, role, 'assembled');
  const subjects = new Map<string, Subject>([
    ['push', { batch: pushed.batch, units: frames, chunksPerBatch: pushed.chunks }],
    ['commit', { batch: ours.decodeCommitted(stream, role, 'assembled'), units: frames }],
    ['ws', { batch: ws.decode(stream, CHUNK, role), units: frames }],
  ]);
  if (bytes >= CHUNK) {
    const streamed = ours.decodePushed(stream, CHUNK, role, 'streamed');
    subjects.set('streamed', {
      batch: streamed.batch,
      units: frames,
      chunksPerBatch: streamed.chunks,
    });
  }
  return measure('decode', masked, bytes, subjects);
}

function encode(bytes: number, masked: boolean): Row {
  const role: Role = masked ? 'client' : 'server';
  const payload = Buffer.alloc(bytes, 'payload');
  const units = Math.max(4, Math.floor((256 * 1024) / bytes));
  return measure(
    'encode',
    masked,
    bytes,
    new Map([
      ['ours', { batch: ours.encodeBinary(payload, units, role), units }],
      ['ws', { batch: ws.encode(payload, units, role), units }],
    ]),
  );
}

/** ASCII, with an `é` at its end if `what` says so: V8 encodes such a string in another way. */
function encodeText(what: 'encode text' | 'encode text, last é', bytes: number, masked: boolean) {
  const role: Role = masked ? 'client' : 'server';
  const ascii = 'lorem ipsum, '.repeat(bytes).slice(0, bytes);
  // From a Buffer: a concatenated string would be flattened in the first round.
  const text =
    what === 'encode text'
      ? ascii
      : Buffer.from(`${ascii.slice(0, -1)}é`, 'latin1').toString('latin1');
  const units = Math.max(4, Math.floor((256 * 1024) / bytes));
  return measure(
    what,
    masked,
    bytes,
    new Map([
      ['ours', { batch: ours.encodeText(text, units, role), units }],
      ['ws', { batch: ws.encode(text, units, role), units }],
    ]),
  );
}

function unmasking(bytes: number): Row {
  const units = Math.max(1, Math.floor(1e7 / Math.max(bytes, 4096)));
  const foreign = new Uint8Array(bytes + 1);
  const inside = sharedMessageBuffers().take(bytes + 1);
  const copied = new Uint8Array(2 * bytes + 1);
  const times = (work: () => void): Subject => ({
    units,
    batch: () => {
      for (let i = 0; i < units; i++) work();
    },
  });
  const row = measure(
    'unmask',
    true,
    bytes,
    new Map([
      ['in place', times(() => unmask(foreign, 1, bytes + 1, 0x37fa213d))],
      ['simd memory', times(() => unmask(inside, 1, bytes + 1, 0x37fa213d))],
      ['memcpy', times(() => copied.copyWithin(1, bytes + 1, 2 * bytes + 1))],
    ]),
  );
  sharedMessageBuffers().give(inside);
  return row;
}

function validating(bytes: number, mixed: boolean): Row {
  const text = textOf(bytes, mixed);
  const units = Math.max(1, Math.floor(1e6 / Math.max(bytes, 16)));
  const subjects = [...VALIDATORS].map(([name, validate]): [string, Subject] => [
    name,
    {
      units,
      batch: () => {
        for (let i = 0; i < units; i++)
          if (!validate(text)) throw new Error('valid text was rejected');
      },
    },
  ]);
  return measure(mixed ? 'validate mixed' : 'validate', false, bytes, new Map(subjects));
}

const rows: Row[] = [];
for (const masked of [true, false]) {
  for (const bytes of SIZES) rows.push(decode(bytes, masked));
  for (const bytes of SIZES) rows.push(encode(bytes, masked));
  for (const bytes of TEXTS) rows.push(encodeText('encode text', bytes, masked));
}
// Masked only: ws gives the text of a server to the socket, which encodes it later.
for (const bytes of LONG_TEXTS) rows.push(encodeText('encode text, last é', bytes, true));
if (mode === 'time') {
  for (const bytes of [1024, 4096, 65536, 1048576]) rows.push(unmasking(bytes));
  for (const mixed of [false, true]) {
    for (const bytes of [16, 128, 16_384]) rows.push(validating(bytes, mixed));
  }
}
const result: WorkerResult = { bufferutil: ws.hasBufferUtil(), rows };
process.stdout.write(JSON.stringify(result));
