import { encodeFrame, FrameEncoder, FrameHeader, type Role, SlabPool } from '@ws/codec';
import { codePoint, type NaiveFrame, naiveDecode, naiveEncode } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { check } from './check.ts';
import { payload } from './streams.ts';

/** A call of the encoder: a frame, a text, or the removal of all segments. */
type Step =
  | {
      readonly kind: 'frame';
      readonly opcode: number;
      readonly fin: boolean;
      readonly payload: Uint8Array;
      readonly skip: number;
    }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'flush' };

const repeated = fc
  .tuple(fc.constantFrom('a', 'é', '€', '😀', '\ud800', 'aé'), fc.nat(3000))
  .map(([letter, times]) => letter.repeat(times));
const text = fc.oneof(
  fc.string({ unit: codePoint }),
  fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) }),
  repeated,
  // The encoder guesses the header size from the length in characters. These lengths cross a limit
  // of the length forms only in bytes.
  fc.integer({ min: 40, max: 130 }).map((n) => 'é'.repeat(n)),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('frame' as const),
      opcode: fc.constantFrom(0, 1, 2, 9),
      fin: fc.boolean(),
      payload,
      skip: fc.nat(5),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('text' as const), text }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'flush' as const }) },
);

const setting = fc.record({
  role: fc.constantFrom<Role>('server', 'client'),
  slabBytes: fc.constantFrom(4096, 1, 16_384, 65_536),
  borrowFrom: fc.constantFrom(65_536, 0, 100, 4096),
  key: fc.oneof(fc.integer(), fc.constant(0)),
});

/** Runs the steps on an encoder, and collects the bytes for the wire. */
class Writer {
  readonly pool = new SlabPool();
  readonly encoder: FrameEncoder;
  readonly wire: Uint8Array[] = [];
  readonly expected: { opcode: number; fin: boolean; payload: Uint8Array }[] = [];
  /** Number of release functions passed to the encoder, and number of their calls. */
  given = 0;
  released = 0;

  constructor(role: Role, slabBytes: number, borrowFrom: number, key: number) {
    const { pool } = this;
    let next = key;
    const nextKey = (): number => {
      next = (next + 0x01020304) | 0;
      return next;
    };
    this.encoder = new FrameEncoder({ role, pool, slabBytes, borrowFrom, nextKey });
  }

  run(step: Step, open: boolean): boolean {
    if (step.kind === 'flush') {
      this.flush();
      return open;
    }
    if (step.kind === 'text') return this.#text(step.text, open);
    const control = step.opcode === 9;
    const opcode = control ? 9 : open ? 0 : step.opcode === 0 ? 1 : step.opcode;
    const end = control ? Math.min(step.payload.length, 125) : step.payload.length;
    const start = Math.min(step.skip, end);
    const fin = control || step.fin;
    const before = step.payload.slice();
    this.given++;
    this.encoder.frame(opcode, fin, 0, step.payload, start, end, () => this.released++);
    expect(Buffer.compare(step.payload, before)).toBe(0);
    this.expected.push({ opcode, fin, payload: before.subarray(start, end) });
    return control ? open : !fin;
  }

  #text(text: string, open: boolean): boolean {
    const opcode = open ? 0 : 1;
    const { pending } = this.encoder;
    const size = this.encoder.text(opcode, true, 0, text);
    expect(this.encoder.pending - pending).toBe(size);
    this.expected.push({ opcode, fin: true, payload: Uint8Array.from(Buffer.from(text)) });
    return false;
  }

  flush(): void {
    const { encoder } = this;
    const { pending } = encoder;
    const releases: (() => void)[] = [];
    let bytes = 0;
    encoder.flush((chunk, release) => {
      this.wire.push(chunk.slice());
      bytes += chunk.length;
      releases.push(release);
    });
    expect([bytes, encoder.pending]).toEqual([pending, 0]);
    for (const release of releases) release();
  }
}

const plain = ({ opcode, fin, payload }: Pick<NaiveFrame, 'opcode' | 'fin' | 'payload'>): string =>
  `${fin} ${opcode} ${Buffer.from(payload).toString('latin1')}`;

describe('FrameEncoder', () => {
  it('writes what the naive decoder reads, and releases all borrowed memory', () => {
    const input = fc.tuple(fc.array(step, { maxLength: 15 }), setting);
    check(input, 250, ([steps, { role, slabBytes, borrowFrom, key }]) => {
      const writer = new Writer(role, slabBytes, borrowFrom, key);
      let open = false;
      for (const one of steps) open = writer.run(one, open);
      writer.flush();
      const bytes = Uint8Array.from(Buffer.concat(writer.wire));
      const read = naiveDecode(bytes, role === 'client' ? 'server' : 'client');
      expect([read.failure, read.held]).toEqual([undefined, 0]);
      const [seen, wanted] = [read.frames.map(plain), writer.expected.map(plain)];
      if (seen.join() !== wanted.join()) expect(seen).toEqual(wanted);
      expect(writer.pool.lent).toBe(0);
      expect(writer.released).toBe(writer.given);
    });
  });
});

describe('encodeFrame', () => {
  it('writes what the naive encoder writes, and FrameHeader reads it', () => {
    const input = fc.record({
      opcode: fc.nat(15),
      fin: fc.boolean(),
      rsv: fc.nat(7).map((bits) => bits << 4),
      payload,
      key: fc.option(fc.integer(), { nil: undefined }),
    });
    check(input, 250, ({ opcode, fin, rsv, payload, key }) => {
      const mask = key === undefined ? {} : { mask: key };
      const bytes = encodeFrame(opcode, payload, { fin, rsv, maskKey: key });
      expect(Buffer.compare(bytes, naiveEncode(opcode, payload, { fin, rsv, ...mask }))).toBe(0);
      const header = new FrameHeader();
      const size = header.read(bytes);
      expect(size + payload.length).toBe(bytes.length);
      expect(header).toMatchObject({
        opcode,
        fin,
        rsv,
        length: payload.length,
        masked: key !== undefined,
        maskKey: key ?? 0,
      });
      for (let end = 0; end < size; end++) expect(new FrameHeader().read(bytes, 0, end)).toBe(0);
    });
  });
});
