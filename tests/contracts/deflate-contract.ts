import { randomBytes } from 'node:crypto';
import {
  type DeflateEngines,
  type Deflater,
  type History,
  type Inflater,
  InflateStatus,
} from '@ws/deflate';
import fc from 'fast-check';
import * as pako from 'pako';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../kit/hex.ts';

/** The engines under test. */
export type EnginePair = Pick<DeflateEngines, 'inflater' | 'deflater'>;

/** A rule of all engines. The title continues "an engine …". */
export interface DeflateRule {
  readonly title: string;
  readonly check: (engines: EnginePair) => void;
}

/** Result of inflating a message. */
export interface Inflated {
  readonly verdict: 'whole' | 'corrupt';
  readonly plain: Buffer;
}

/** Sizes of input pieces and output buffers, used in rotation. */
export interface Portions {
  readonly pieces?: readonly number[];
  readonly rooms?: readonly number[];
}

/** Random inputs of a rule: `pnpm long random` has more. */
const RUNS = Number(process.env['RUNS'] ?? 10);
const WINDOW = 32_768;
const TAIL = hex('00 00 ff ff');
/** Fills the bytes around each output buffer. No engine may change them. */
const CANARY = 0xa5;

/**
 * Checks the rules of `Inflater` and `Deflater` in a `describe`. pako inflates their output, and they inflate its output.
 */
export function deflateContract(name: string, engines: DeflateEngines): void {
  const { wholeMessages } = engines.inflater();
  const rules = wholeMessages
    ? deflateRules.filter(({ title }) => !needsPieces(title))
    : deflateRules;
  describe(`${name}, as permessage-deflate engines,`, () => {
    it.each(rules)('$title', ({ check }) => {
      check(engines);
    });
  });
}

/** Whether a rule is about pieces of messages, or about the window of a deflater. */
function needsPieces(title: string): boolean {
  return /with and without context|an incomplete message/.test(title);
}

/** A history of these bytes. */
export function historyOf(bytes: Uint8Array): History {
  return { length: bytes.length, copyTo: (into, at) => into.set(bytes, at) };
}

/**
 * Inflates one message, whole or in `pieces`, as a connection does: with a reset after each final block.
 *
 * @param before - Plain text before the message, the history after a reset.
 */
export function inflateWith(
  engine: Inflater,
  message: Uint8Array,
  { pieces = [message.length], rooms = [65_536] }: Portions = {},
  before: Uint8Array = new Uint8Array(0),
): Inflated {
  let plain = Buffer.alloc(0);
  let turn = 0;
  let finals = 0;
  const sizes = engine.wholeMessages ? [message.length] : pieces;
  for (const [from, to] of cut(message.length, sizes)) {
    let at = from;
    for (;;) {
      const room = rooms[turn++ % rooms.length]!;
      const output = new Uint8Array(room + 20).fill(CANARY);
      const last = to === message.length;
      const status = engine.write(message, at, to, last, output, 10, 10 + room, Infinity);
      if (status === InflateStatus.Corrupt) return { verdict: 'corrupt', plain };
      const { used, produced } = engine;
      expect(used >= 0 && used <= to - at && produced >= 0 && produced <= room).toBe(true);
      expectIntact(output, room);
      at += used;
      plain = Buffer.concat([plain, output.subarray(10, 10 + produced)]);
      if (status === InflateStatus.Done) {
        expect(at).toBe(to);
        break;
      }
      if (status === InflateStatus.Final) {
        if (++finals > 8) return { verdict: 'corrupt', plain };
        engine.reset(historyOf(Buffer.concat([before, plain]).subarray(-WINDOW)));
      } else if (room > 0) expect(produced).toBe(room);
    }
  }
  return { verdict: 'whole', plain };
}

/** Deflates one message with a flush after each piece. The result includes the tail. */
export function deflateWith(
  engine: Deflater,
  plain: Uint8Array,
  { pieces = [plain.length], rooms = [65_536] }: Portions = {},
  flushed: (piece: number) => boolean = () => true,
): Buffer {
  const parts: Uint8Array[] = [];
  let turn = 0;
  for (const [i, [from, to]] of cut(plain.length, pieces).entries()) {
    let at = from;
    for (;;) {
      const room = rooms[turn++ % rooms.length]!;
      const flush = to === plain.length || flushed(i);
      const output = new Uint8Array(room + 20).fill(CANARY);
      const whole = engine.write(plain, at, to, flush, output, 10, 10 + room);
      expectIntact(output, room);
      at += engine.used;
      parts.push(output.subarray(10, 10 + engine.produced));
      if (!whole) continue;
      expect(at).toBe(to);
      break;
    }
  }
  return Buffer.concat(parts);
}

function expectIntact(output: Uint8Array, room: number): void {
  expect(output.subarray(0, 10).every((byte) => byte === CANARY)).toBe(true);
  expect(output.subarray(10 + room).every((byte) => byte === CANARY)).toBe(true);
}

/** `[from, to)` of each piece, or one empty piece for an empty message. */
function cut(length: number, sizes: readonly number[]): [number, number][] {
  const pieces: [number, number][] = [];
  let from = 0;
  for (let i = 0; from < length; i++) {
    const to = Math.min(length, from + Math.max(1, sizes[i % sizes.length]!));
    pieces.push([from, to]);
    from = to;
  }
  return pieces.length > 0 ? pieces : [[0, 0]];
}

/** Inflates a stream with its tail, byte by byte in a window of exactly `windowBits`. */
export function pakoInflate(stream: Uint8Array, history: Uint8Array, windowBits: number): Buffer {
  const parts: Uint8Array[] = [];
  const dictionary = history.length > 0 ? { dictionary: history.subarray(-(1 << windowBits)) } : {};
  const inflate = new pako.Inflate({ raw: true, windowBits, chunkSize: 1, ...dictionary });
  inflate.onData = (chunk: string | Uint8Array) => parts.push(Buffer.from(chunk));
  inflate.push(stream, 2);
  if (inflate.err !== 0) throw new Error(`pako: ${inflate.msg}`);
  return Buffer.concat(parts);
}

/** Deflates a message with pako, with a flush after each piece. The result includes the tail. */
function pakoDeflate(plain: Uint8Array, level: number, pieces: readonly number[]): Buffer {
  const parts: Uint8Array[] = [];
  const deflate = new pako.Deflate({ raw: true, level });
  deflate.onData = (chunk: Uint8Array) => parts.push(Uint8Array.from(chunk));
  for (const [from, to] of cut(plain.length, pieces)) deflate.push(plain.subarray(from, to), 2);
  return Buffer.concat(parts);
}

/** Passes engines to `check` and closes those that it has opened. */
function closingAll(engines: EnginePair, check: DeflateRule['check']): void {
  const opened: { close(): void }[] = [];
  const open = <E extends Inflater | Deflater>(engine: E): E => {
    opened.push(engine);
    return engine;
  };
  try {
    check({
      inflater: () => open(engines.inflater()),
      deflater: (level, windowBits) => open(engines.deflater(level, windowBits)),
    });
  } finally {
    for (const engine of opened) engine.close();
  }
}

/** Resets an engine for a message. */
function begin<E extends Inflater | Deflater>(engine: E, history?: History): E {
  engine.reset(history);
  return engine;
}

/** A deflater after a message `before`, which the next one may refer back to. */
function after(engine: Deflater, before: Uint8Array): Deflater {
  engine.reset();
  deflateWith(engine, before);
  return engine;
}

/** Prepares the next message. An engine for whole messages gets the plain bytes before it again. */
function goOn(engine: Inflater, before: Uint8Array): Inflater {
  if (engine.wholeMessages) engine.reset(historyOf(before));
  return engine;
}

function withoutTail(stream: Buffer): Buffer {
  expect(toHex(stream.subarray(-4))).toBe(toHex(TAIL));
  return stream.subarray(0, -4);
}

/** Text of few words, so it has repetitions. */
function prose(size: number, seed = 1): Buffer {
  const words = ['alpha ', 'beta ', '{"gamma": ', '12', 'δέλτα', '\n', 'the quick brown fox '];
  const text: string[] = [];
  for (let length = 0, x = seed; length < size; length += text.at(-1)!.length) {
    x = (x * 1_103_515_245 + 12_345) % 2_147_483_648;
    text.push(words[x % words.length]!, String(x % 9));
  }
  return Buffer.from(text.join('')).subarray(0, size);
}

const anyPlain: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .record({ size: fc.integer({ min: 0, max: 5000 }), seed: fc.nat(1000) })
    .map(({ size, seed }) => prose(size, seed)),
  fc
    .record({ unit: fc.uint8Array({ minLength: 1, maxLength: 400 }), times: fc.nat(20) })
    .map(({ unit, times }) => Buffer.concat(Array<Uint8Array>(times).fill(unit))),
);

const anySizes = (max: number): fc.Arbitrary<number[]> =>
  fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max })), {
    minLength: 1,
    maxLength: 5,
  });

const anyPortions: fc.Arbitrary<Required<Portions>> = fc.record({
  pieces: anySizes(3000),
  rooms: anySizes(3000),
});

const rules: Readonly<Record<string, DeflateRule['check']>> = {
  'inflates the examples of RFC 7692, section 7.2.3, whole and byte by byte': (engines) => {
    for (const [bytes, text] of [
      ['f2 48 cd c9 c9 07 00', 'Hello'],
      ['00 05 00 fa ff 48 65 6c 6c 6f 00', 'Hello'],
      ['f3 48 cd c9 c9 07 00 00', 'Hello'],
      ['f2 48 05 00 00 00 ff ff ca c9 c9 07 00', 'Hello'],
      ['00', ''],
      ['02 00', ''],
    ] as const) {
      for (const pieces of [[100], [3, 100], [1]]) {
        for (const rooms of [[100], [5], [1]]) {
          const engine = begin(engines.inflater());
          const { verdict, plain } = inflateWith(engine, hex(bytes), { pieces, rooms });
          expect([bytes, verdict, plain.toString()]).toEqual([bytes, 'whole', text]);
        }
      }
    }
  },
  'resolves references to the previous message, without a reset and with a history': (engines) => {
    const hello = Buffer.from('Hello');
    const engine = begin(engines.inflater());
    expect(inflateWith(engine, hex('f2 48 cd c9 c9 07 00')).plain.toString()).toBe('Hello');
    for (let i = 0; i < 2; i++) {
      const { plain } = inflateWith(goOn(engine, hello), hex('f2 00 11 00 00'));
      expect(plain.toString()).toBe('Hello');
    }
    begin(engine, historyOf(hello));
    expect(inflateWith(engine, hex('f2 00 11 00 00')).plain.toString()).toBe('Hello');
    begin(engine);
    expect(inflateWith(engine, hex('f2 00 11 00 00')).verdict).toBe('corrupt');
  },
  'deflates Hello as in RFC 7692, section 7.2.3, with and without context': (engines) => {
    const engine = engines.deflater(6, 15);
    const hello = Buffer.from('Hello');
    for (let i = 0; i < 2; i++) {
      engine.reset();
      expect(toHex(withoutTail(deflateWith(engine, hello)))).toBe(toHex(hex('f248cdc9c90700')));
    }
    for (let i = 0; i < 2; i++) {
      const second = withoutTail(deflateWith(engine, hello));
      expect(second.length).toBeLessThan(6);
      expect(pakoInflate(Buffer.concat([second, TAIL]), hello, 15).toString()).toBe('Hello');
      after(engine, hello);
    }
  },
  'continues after final blocks, with the earlier bytes as history': (engines) => {
    const hello = Buffer.from('Hello');
    const engine = engines.inflater();
    for (const [bytes, text] of [
      // The message ends with a final block, without the byte of an empty block.
      ['f3 48 cd c9 c9 07 00', 'Hello'],
      // The tail ends the final block.
      ['f2 48 cd c9 c9 07 04', 'Hello'],
      // Two final blocks and another block, with references to the first.
      ['f3 48 cd c9 c9 07 00 f3 00 11 00 f2 00 11 00 00', 'HelloHelloHello'],
    ] as const) {
      for (const pieces of [[100], [1], [7, 1]]) {
        begin(engine);
        const first = inflateWith(engine, hex(bytes), { pieces });
        expect([bytes, first.verdict, first.plain.toString()]).toEqual([bytes, 'whole', text]);
        const next = inflateWith(goOn(engine, hello), hex('f2 00 11 00 00'), { pieces }, hello);
        expect([bytes, next.plain.toString()]).toEqual([bytes, 'Hello']);
      }
    }
  },
  'limits the number of resets after final blocks': (engines) => {
    const engine = engines.inflater();
    const finals = Buffer.alloc(40, hex('03 00'));
    for (const pieces of [[40], [1]]) {
      begin(engine);
      expect(inflateWith(engine, finals, { pieces }).verdict).toBe('corrupt');
    }
    begin(engine);
    const few = inflateWith(engine, Buffer.concat([finals.subarray(0, 16), hex('00')]));
    expect(few).toEqual({ verdict: 'whole', plain: Buffer.alloc(0) });
  },
  'accepts a message of zero bytes, first and between others': (engines) => {
    const engine = begin(engines.inflater());
    let before = Buffer.alloc(0);
    for (const [bytes, text] of [
      ['', ''],
      ['00', ''],
      ['f2 48 cd c9 c9 07 00', 'Hello'],
      ['', ''],
      ['00', ''],
      ['f2 00 11 00 00', 'Hello'],
    ] as const) {
      const { verdict, plain } = inflateWith(goOn(engine, before), hex(bytes));
      expect([verdict, plain.toString()]).toEqual(['whole', text]);
      before = Buffer.concat([before, plain]);
    }
  },
  'has no output for no input': (engines) => {
    const engine = begin(engines.deflater(1, 15));
    expect(deflateWith(engine, Buffer.alloc(0))).toHaveLength(0);
    expect(deflateWith(engine, Buffer.from('Hello')).length).toBeGreaterThan(4);
    expect(deflateWith(engine, Buffer.alloc(0))).toHaveLength(0);
    after(engine, Buffer.from('Hello'));
    expect(deflateWith(engine, Buffer.alloc(0))).toHaveLength(0);
  },
  'waits for output space': (engines) => {
    const inflater = begin(engines.inflater());
    const message = hex('f2 48 cd c9 c9 07 00');
    const rooms = [0, 2, 0, 0, 3, 0, 1];
    expect(inflateWith(inflater, message, { rooms }).plain.toString()).toBe('Hello');
    const deflater = begin(engines.deflater(6, 15));
    const stream = deflateWith(deflater, Buffer.from('Hello'), { rooms });
    expect(pakoInflate(stream, Buffer.alloc(0), 15).toString()).toBe('Hello');
  },
  'deflates for pako with a window of the negotiated size, at all levels and piece sizes': (
    engines,
  ) => {
    fc.assert(
      fc.property(
        fc.record({
          level: fc.integer({ min: -2, max: 9 }),
          windowBits: fc.integer({ min: 8, max: 15 }),
          history: fc.option(anyPlain),
          messages: fc.array(anyPlain, { minLength: 1, maxLength: 3 }),
          portions: anyPortions,
          unflushed: fc.nat(3),
        }),
        ({ level, windowBits, history, messages, portions, unflushed }) => {
          const engine = engines.deflater(level, windowBits);
          // Earlier messages have no effect.
          engine.write(prose(100), 0, 100, false, new Uint8Array(5), 0, 5);
          after(engine, history ?? new Uint8Array(0));
          const stream = messages.map((plain) =>
            deflateWith(engine, plain, portions, (i) => i % 4 >= unflushed),
          );
          for (const [i, { length }] of messages.entries()) {
            if (length > 0) withoutTail(stream[i]!);
          }
          const plain = pakoInflate(
            Buffer.concat(stream),
            history ?? new Uint8Array(0),
            windowBits,
          );
          expect(plain.equals(Buffer.concat(messages))).toBe(true);
        },
      ),
      { numRuns: RUNS },
    );
  },
  'never refers beyond a window of 8 bits in a long text': (engines) => {
    for (const level of [1, 3, 6, 9]) {
      for (const distance of [249, 250, 251, 256, 257, 300]) {
        const plain = Buffer.concat(Array<Buffer>(12).fill(randomBytes(distance)));
        const engine = after(engines.deflater(level, 8), plain.subarray(0, distance * 2));
        const stream = deflateWith(engine, plain, { pieces: [100] });
        const back = pakoInflate(stream, plain.subarray(0, distance * 2), 8);
        expect(back.equals(plain)).toBe(true);
      }
    }
  },
  'inflates the output of pako in all piece sizes, and deflated text with a history': (engines) => {
    fc.assert(
      fc.property(
        fc.record({
          level: fc.integer({ min: 0, max: 9 }),
          history: fc.option(anyPlain),
          plain: anyPlain,
          portions: anyPortions,
          flushes: anySizes(2000),
        }),
        ({ level, history, plain, portions, flushes }) => {
          fc.pre(plain.length > 0);
          const before = history ?? new Uint8Array(0);
          const message = withoutTail(pakoDeflate(plain, level, flushes));
          const inflater = begin(engines.inflater(), historyOf(before));
          for (let i = 0; i < 2; i++) {
            const { verdict, plain: back } = inflateWith(inflater, message, portions);
            expect([verdict, back.equals(plain)]).toEqual(['whole', true]);
          }
          const deflater = after(engines.deflater(level, 15), before);
          const ours = withoutTail(deflateWith(deflater, plain));
          begin(inflater, historyOf(before));
          const { verdict, plain: back } = inflateWith(inflater, ours, portions);
          expect([verdict, back.equals(plain)]).toEqual(['whole', true]);
        },
      ),
      { numRuns: RUNS },
    );
  },
  'uses the oldest byte of a full window': (engines) => {
    const history = randomBytes(WINDOW);
    const inflater = begin(engines.inflater(), historyOf(history));
    const { verdict, plain } = inflateWith(inflater, farthestMatch());
    expect([verdict, plain.equals(history.subarray(0, 258))]).toEqual(['whole', true]);

    const deflater = after(engines.deflater(6, 15), history);
    const stream = deflateWith(deflater, history.subarray(-20_000));
    expect(pakoInflate(stream, history, 15).equals(history.subarray(-20_000))).toBe(true);
  },
  'deflates and inflates 65,535, 65,536 and 65,537 bytes': (engines) => {
    const inflater = engines.inflater();
    const deflater = engines.deflater(1, 15);
    for (const size of [65_535, 65_536, 65_537]) {
      for (const plain of [prose(size), randomBytes(size), Buffer.alloc(size)]) {
        deflater.reset();
        const message = withoutTail(deflateWith(deflater, plain));
        for (const room of [size - 1, size, size + 1, 32_768]) {
          begin(inflater);
          const { verdict, plain: back } = inflateWith(inflater, message, { rooms: [room] });
          expect([verdict, back.equals(plain)]).toEqual(['whole', true]);
        }
      }
    }
  },
  'outputs the available bytes of an incomplete message': (engines) => {
    const deflater = begin(engines.deflater(6, 15));
    const inflater = begin(engines.inflater());
    const output = new Uint8Array(1000);
    for (let i = 0; i < 20; i++) {
      const plain = prose(200, i);
      const part = deflateWith(deflater, plain);
      const status = inflater.write(part, 0, part.length, false, output, 0, 1000, 1000);
      expect(status).toBe(InflateStatus.Done);
      expect(plain.equals(output.subarray(0, inflater.produced))).toBe(true);
    }
  },
  'fills the output with a bomb, then stops': (engines) => {
    const deflater = engines.deflater(9, 15);
    const size = 4 * 1024 * 1024;
    const bomb = withoutTail(deflateWith(deflater, Buffer.alloc(size, 'a')));
    expect(size / bomb.length).toBeGreaterThan(100);
    const inflater = engines.inflater();
    for (const limit of [0, 1, 1000, 65_536, size - 1]) {
      begin(inflater);
      const output = new Uint8Array(limit + 21).fill(CANARY);
      const { length } = bomb;
      const status = inflater.write(bomb, 0, length, true, output, 10, limit + 11, size);
      expect([status, inflater.produced]).toEqual([InflateStatus.More, limit + 1]);
      expectIntact(output, limit + 1);
    }
    begin(inflater);
    const { verdict, plain } = inflateWith(inflater, bomb, { rooms: [size] });
    expect([verdict, plain.length]).toEqual(['whole', size]);
  },
  'detects every truncated message and works after a reset': (engines) => {
    const inflater = engines.inflater();
    for (const [level, plain] of [
      [6, Buffer.from('Hello')],
      [6, prose(600)],
      [-2, prose(400)],
      [0, prose(60)],
      [9, randomBytes(100)],
      [1, Buffer.concat([prose(300), randomBytes(40), TAIL, TAIL])],
    ] as const) {
      const deflater = begin(engines.deflater(level, 15));
      const message = withoutTail(deflateWith(deflater, plain, { pieces: [350] }));
      let whole = 0;
      for (let size = 1; size < message.length; size++) {
        begin(inflater);
        const { verdict, plain: back } = inflateWith(inflater, message.subarray(0, size));
        if (verdict === 'corrupt') continue;
        // The first byte of a stored block is an empty message. The first flush without its tail is a shorter one.
        expect([0, 350]).toContain(back.length);
        expect(plain.subarray(0, back.length).equals(back)).toBe(true);
        whole++;
      }
      expect(whole).toBeLessThanOrEqual(1);
      begin(inflater);
      expect(inflateWith(inflater, message).plain.equals(plain)).toBe(true);
    }
  },
  'detects a truncated message whose block the tail completes': (engines) => {
    const inflater = engines.inflater();
    const cut = '444fb90dc3400c5bc5f004474a4e916dce4100172952a4a2970f8e3ad80d';
    begin(inflater);
    expect(inflateWith(inflater, hex(cut)).verdict).toBe('corrupt');
  },
  'detects a corrupt message and inflates the next one, a thousand times': (engines) => {
    const inflater = engines.inflater();
    const good = hex('f2 48 cd c9 c9 07 00');
    const bad = hex('ff 48 cd c9 c9 07 00');
    for (let i = 0; i < 1000; i++) {
      begin(inflater);
      expect(inflateWith(inflater, bad).verdict).toBe('corrupt');
      begin(inflater);
      expect(inflateWith(inflater, good).plain.toString()).toBe('Hello');
    }
  },
  'keeps the state of alternating engines separate': (engines) => {
    const lines = [0, 1, 2, 3].map((i) => {
      const deflater = engines.deflater(i, 15 - i);
      const inflater = engines.inflater();
      const before = i % 2 === 0 ? new Uint8Array(0) : prose(3000, i);
      after(deflater, before);
      begin(inflater, historyOf(before));
      return { deflater, inflater };
    });
    for (let round = 0; round < 30; round++) {
      const messages = lines.map(({ deflater }, i) =>
        withoutTail(deflateWith(deflater, prose(round * 40 + 1, i + round))),
      );
      for (const [i, { inflater }] of lines.entries()) {
        const { plain } = inflateWith(inflater, messages[i]!, { pieces: [50] });
        expect(plain.equals(prose(round * 40 + 1, i + round))).toBe(true);
      }
    }
  },
};

export const deflateRules: readonly DeflateRule[] = Object.entries(rules).map(([title, check]) => ({
  title,
  check: (engines) => closingAll(engines, check),
}));

/** A block with fixed codes and one match: 258 bytes at distance 32,768. */
function farthestMatch(): Uint8Array {
  // BFINAL 0, BTYPE 01, then length 258 (code 285), distance code 29 with 13 extra bits set, end of block (256), and the
  // three bits of the empty stored block.
  const bits = `0${'10'}${'11000101'}${'11101'}${'1'.repeat(13)}${'0000000'}${'000'}`;
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (let i = 0; i < bits.length; i++) {
    if (bits[i] === '1') bytes[i >> 3] = bytes[i >> 3]! | (1 << (i & 7));
  }
  return bytes;
}
