import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  NEED_MORE,
  type Role,
} from '@ws/codec';
import { hex, NaiveDecoder } from '@ws/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { check, corpus } from '../check.ts';
import { chunksOf, cuts, stream } from '../streams.ts';

interface Setting {
  readonly role: Role;
  readonly allowedRsv: number;
  readonly maxFramePayload: number;
  readonly holdLimit: number;
  readonly readBufferSize: number;
  readonly simd: boolean;
  /** Room of the targets that large frames are assembled in; 0 leaves them where they lie. */
  readonly assemble: number;
  /** Which chunks are handed in by `push`, the others by `writable` and `commit`; repeats. */
  readonly pushes: readonly boolean[];
}

const setting: fc.Arbitrary<Setting> = fc.record({
  role: fc.constantFrom<Role>('server', 'client'),
  allowedRsv: fc.constantFrom(0, 0x40, 0x70),
  maxFramePayload: fc.oneof(
    { weight: 4, arbitrary: fc.constant(Infinity) },
    fc.constantFrom(0, 125, 126, 4096, 65_535, 65_536),
    fc.nat(300),
  ),
  holdLimit: fc.constantFrom(4112, 0, 1, 125, 1000),
  readBufferSize: fc.constantFrom(4096, 1, 16, 65_536),
  simd: fc.boolean(),
  assemble: fc.constantFrom(0, 7, 100, 5000, 100_000),
  pushes: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
});

const plain: Setting = {
  role: 'server',
  allowedRsv: 0,
  maxFramePayload: Infinity,
  holdLimit: 4112,
  readBufferSize: 4096,
  simd: true,
  assemble: 0,
  pushes: [true],
};

/** Reads all events there are, writes whole frames to `trace`, and checks each event against what it claims. */
class Tracer {
  readonly trace: string[] = [];
  readonly decoder: FrameDecoder;
  readonly #room: number;
  #payload: Uint8Array = new Uint8Array(0);
  #size = 0;
  #left = 0;

  constructor(setting: Setting) {
    this.decoder = new FrameDecoder(setting);
    this.#room = setting.assemble;
  }

  drain(): void {
    const d = this.decoder;
    for (let event = d.next(); event !== NEED_MORE; event = d.next()) {
      if (event === FAILED) {
        const { closeCode, faults } = d.error!;
        this.trace.push(`failed ${closeCode} ${faults.join()}`);
        must(d.next() === FAILED, 'dead for good');
        return;
      }
      if (event === FRAME) {
        must(d.end - d.start === d.length, 'a whole frame');
        this.trace.push(traceOf(d, d.buf.subarray(d.start, d.end)));
        // The caller may write to the bytes: what follows must not suffer.
        d.buf.fill(0xdb, d.start, d.end);
      } else if (event === FRAME_BEGIN) this.#begin();
      else if (event === FRAME_DATA) this.#data();
      else if (event === FRAME_END) {
        must(this.#size === d.length, 'all of the payload in pieces');
        this.trace.push(traceOf(d, this.#payload.subarray(0, this.#size)));
      }
    }
  }

  #begin(): void {
    this.#payload = new Uint8Array(Math.min(this.decoder.length, 200_000));
    this.#size = 0;
    this.#target();
  }

  #data(): void {
    const { buf, start, end } = this.decoder;
    must(end > start, 'a piece with something in it');
    this.#payload.set(buf.subarray(start, end), this.#size);
    this.#size += end - start;
    this.#left -= end - start;
    must(this.#size <= this.decoder.length, 'no more payload than announced');
    if (this.#left === 0) this.#target();
  }

  #target(): void {
    this.#left = this.#room;
    if (this.#room > 0) this.decoder.assembleInto(new Uint8Array(this.#room + 3), 3);
  }
}

/** `expect` for what is asked a million times. */
function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not so: ${what}`);
}

function traceOf(
  frame: { opcode: number; fin: boolean; rsv: number },
  payload: Uint8Array,
): string {
  const { fin, rsv, opcode } = frame;
  return `${fin ? 'fin' : '...'} ${rsv} ${opcode}: ${Buffer.from(payload).toString('hex')}`;
}

/** Feeds both decoders chunk by chunk; they must have seen the same at the end of each. */
function compare(bytes: Uint8Array, lengths: readonly number[], setting: Setting): void {
  const tracer = new Tracer(setting);
  const naive = new NaiveDecoder(setting.role, setting);
  const expected: string[] = [];
  let i = 0;
  for (const chunk of chunksOf(bytes, lengths)) {
    naive.push(chunk);
    feed(tracer, chunk, setting.pushes[i++ % setting.pushes.length]!);
    for (const frame of naive.frames.slice(expected.length)) {
      expected.push(traceOf(frame, frame.payload));
    }
    if (naive.failure !== undefined) {
      expected.push(`failed ${naive.failure.closeCode} ${naive.failure.faults.join()}`);
    }
    const { length } = expected;
    if (tracer.trace.length !== length || tracer.trace[length - 1] !== expected[length - 1]) {
      expect(tracer.trace).toEqual(expected);
    }
    if (naive.failure !== undefined) break;
    must(tracer.decoder.atFrameBoundary === (naive.held === 0), 'the same boundaries');
  }
  expect(tracer.trace.join()).toBe(expected.join());
  tracer.decoder.reset();
  expect(tracer.decoder.atFrameBoundary).toBe(true);
}

/** Hands a chunk in, reads the events, and spoils the chunk: nothing may be left in it. */
function feed(tracer: Tracer, chunk: Uint8Array, push: boolean): void {
  const { decoder } = tracer;
  if (push) {
    const given = chunk.slice();
    decoder.push(given);
    tracer.drain();
    given.fill(0xdb);
    return;
  }
  for (let at = 0; at < chunk.length && decoder.error === undefined; ) {
    const landing = decoder.writable();
    const n = Math.min(landing.length, chunk.length - at);
    landing.fill(0xdb);
    landing.set(chunk.subarray(at, at + n));
    decoder.commit(n);
    tracer.drain();
    at += n;
  }
}

describe('FrameDecoder', () => {
  it('sees what the naive decoder sees, whatever the bytes, the cuts and the settings', () => {
    check(fc.tuple(stream, cuts, setting), 500, ([{ masked, unmasked }, lengths, setting]) => {
      compare(setting.role === 'server' ? masked : unmasked, lengths, setting);
    });
  });

  it('sees what the naive decoder sees in pure noise', () => {
    check(fc.tuple(fc.uint8Array(), cuts, setting), 1000, ([bytes, lengths, setting]) => {
      compare(bytes, lengths, setting);
    });
  });

  it.each(corpus('frame-stream'))('still reads: $says', ({ text }) => {
    const bytes = hex(text);
    for (let cut = 1; cut <= bytes.length; cut++) {
      compare(bytes, [cut, bytes.length], plain);
      compare(bytes, [cut], { ...plain, pushes: [false] });
    }
  });
});
