// Functions of the application that use an encoder while it calls them. The bytes of a frame, or of
// memory that others have used, never get to another place of the stream.
import { FrameEncoder, type Role, type Slab } from '@ws/codec';
import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { chunksOf, join } from '../support.ts';

/** A byte that no frame of these tests contains: the former contents of the pool's memory. */
const SECRET = 0xee;

function pool(within: () => void = () => {}): { take: (least: number) => Slab } {
  return {
    take(least) {
      within();
      return { bytes: new Uint8Array(least).fill(SECRET), release() {} };
    },
  };
}

/** The frames that `encoder` sends: opcode and size. */
function sent(chunks: readonly Uint8Array[], role: Role): string[] {
  const stream = join(chunks);
  const { frames } = naiveDecode(stream, role === 'client' ? 'server' : 'client');
  expect(frames.reduce((sum, { size }) => sum + size, 0)).toBe(stream.length);
  for (const { payload } of frames) expect(payload.includes(SECRET)).toBe(false);
  return frames.map(({ opcode, payload }) => `${opcode} of ${payload.length}`);
}

/** Runs `action` once, at the first call after {@link arm}. */
function once(action: () => void): { arm: () => void; run: () => void } {
  let armed = false;
  return {
    arm: () => void (armed = true),
    run() {
      if (!armed) return;
      armed = false;
      action();
    },
  };
}

/** Returns `frame`, or nothing when the call throws. */
function attempt(frame: string, call: () => unknown): string[] {
  try {
    call();
    return [frame];
  } catch {
    return [];
  }
}

describe('a function for keys that appends a frame', () => {
  it.each([10, 3_000, 60_000, 100_000])(
    'puts it before the frame of %d bytes, in a new slab and after others',
    (length) => {
      for (const before of [0, 1, 15]) {
        let encoder: FrameEncoder | undefined;
        const inner = once(() => encoder!.frame(9, true, 0, new Uint8Array(20)));
        encoder = new FrameEncoder({
          role: 'client',
          pool: pool(),
          nextKey() {
            inner.run();
            return 0;
          },
        });
        for (let i = 0; i < before; i++) encoder.frame(2, true, 0, new Uint8Array(4_000));
        inner.arm();
        encoder.frame(1, true, 0, new Uint8Array(length));
        expect(sent(chunksOf(encoder), 'client').slice(before)).toEqual([
          '9 of 20',
          `1 of ${length}`,
        ]);
      }
    },
  );

  it('that throws appends nothing', () => {
    let fails = false;
    const encoder = new FrameEncoder({
      role: 'client',
      pool: pool(),
      nextKey() {
        if (fails) throw new Error('no key');
        return 0;
      },
    });
    encoder.frame(2, true, 0, new Uint8Array(5));
    fails = true;
    for (const length of [10, 100_000]) {
      expect(() => encoder.frame(2, true, 0, new Uint8Array(length))).toThrow('no key');
      expect(() => encoder.text(1, true, 0, 'x'.repeat(length))).toThrow('no key');
    }
    expect(sent(chunksOf(encoder), 'client')).toEqual(['2 of 5']);
  });
});

describe.each(['client', 'server'] as const)('a function of a %s', (role) => {
  const actions: Record<string, (encoder: FrameEncoder, out: Uint8Array[]) => void> = {
    'appends a frame': (encoder) => encoder.frame(9, true, 0, new Uint8Array(20)),
    'appends a text': (encoder) => encoder.text(1, true, 0, 'hello'),
    'flushes the encoder': (encoder, out) => out.push(...chunksOf(encoder)),
    'drops the frames': (encoder) => encoder.discard(),
    throws() {
      throw new Error('no text');
    },
  };

  const adds = {
    text: ['1 of 1000', (encoder: FrameEncoder) => encoder.text(1, true, 0, 'x'.repeat(1_000))],
    pool: [
      '2 of 9000',
      (encoder: FrameEncoder) => encoder.frame(2, true, 0, new Uint8Array(9_000)),
    ],
  } as const;

  it.each(
    Object.entries(actions).flatMap(([says, action]) =>
      (['text', 'pool'] as const).map((of) => [of, says, action] as const),
    ),
  )('of the %s that %s leaves whole frames', (of, says, action) => {
    for (const before of [0, 1, 15]) {
      const out: Uint8Array[] = [];
      let encoder: FrameEncoder | undefined;
      const inner = once(() => action(encoder!, out));
      encoder = new FrameEncoder({
        role,
        pool: pool(of === 'pool' ? inner.run : undefined),
        writeUtf8(into, at, text) {
          if (of === 'text') inner.run();
          return new TextEncoder().encodeInto(text, into.subarray(at)).written;
        },
      });
      for (let i = 0; i < before; i++) encoder.frame(2, true, 0, new Uint8Array(4_000));
      inner.arm();
      const [frame, add] = adds[of];
      const added = attempt(frame, () => add(encoder));
      encoder.text(1, true, 0, 'after');
      out.push(...chunksOf(encoder));
      const kept = says === 'drops the frames' ? 0 : before;
      const first = Array.from({ length: kept }, () => '2 of 4000');
      expect(sent(out, role)).toEqual([...first, ...added, '1 of 5']);
    }
  });
});
