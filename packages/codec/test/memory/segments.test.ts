import { setImmediate } from 'node:timers/promises';
import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Segments } from '../../src/memory/segments.ts';

/**
 * Segments `[start, end)` of one slab each, with the index where a frame begins, and which of them
 * were released.
 */
function segmentsOf(...pieces: readonly (readonly [number, number, number])[]): {
  readonly segments: Segments;
  readonly released: number[];
} {
  const segments = new Segments();
  const released: number[] = [];
  for (const [i, [start, end, boundary]] of pieces.entries()) {
    segments.push(Uint8Array.of(i), start, end, boundary, () => released.push(i));
  }
  return { segments, released };
}

/** The pending segments: their number and the range of each. */
function list(segments: Segments): string[] {
  return Array.from(
    { length: segments.count },
    (_, i) => `${segments.buf(i)[0]}: ${segments.start(i)}-${segments.end(i)}`,
  );
}

describe('Segments', () => {
  it('release a segment that was split when both parts are released, each once', () => {
    const { segments, released } = segmentsOf([0, 9, 5]);
    segments.split(0);
    expect(list(segments)).toEqual(['0: 0-5', '0: 5-9']);
    const [first, second] = [segments.release(0), segments.release(1)];
    first?.();
    first?.();
    expect(released).toEqual([]);
    second?.();
    second?.();
    expect(released).toEqual([0]);
  });

  it('return the facts of each pushed segment', () => {
    const { segments, released } = segmentsOf([0, 10, 0], [5, 25, 20]);
    expect(list(segments)).toEqual(['0: 0-10', '1: 5-25']);
    expect(segments.bytes).toBe(30);
    expect([segments.startsFrame(0), segments.startsFrame(1)]).toEqual([true, false]);
    segments.release(1)!();
    expect(released).toEqual([1]);
  });

  it.each([-1, 2, Number.NaN])('have no segment %d of two', (i) => {
    const { segments } = segmentsOf([0, 10, 0], [0, 5, 0]);
    expect(() => segments.buf(i)).toThrow(RangeError);
    expect(() => segments.start(i)).toThrow(RangeError);
    expect(() => segments.end(i)).toThrow(RangeError);
    expect(() => segments.release(i)).toThrow(RangeError);
    expect(() => segments.startsFrame(i)).toThrow(RangeError);
  });

  describe('shift', () => {
    it('removes the first segment, and leaves its release to the caller', () => {
      const { segments, released } = segmentsOf([0, 10, 0], [1, 9, 3], [2, 4, 2]);
      segments.shift(1);
      expect(list(segments)).toEqual(['1: 1-9', '2: 2-4']);
      expect(segments.bytes).toBe(10);
      expect([segments.startsFrame(0), segments.startsFrame(1)]).toEqual([false, true]);
      segments.release(0)!();
      expect(released).toEqual([1]);
      segments.shift(2);
      expect([segments.count, segments.bytes]).toEqual([0, 0]);
      expect(released).toEqual([1]);
    });

    it('moves each segment a bounded number of times', () => {
      // This loop would take half a minute if each call moved all segments.
      const segments = new Segments();
      const many = 100_000;
      for (let i = 0; i < many; i++) segments.push(Uint8Array.of(1), i, i + 1, i, undefined);
      for (let i = 0; i < many; i++) {
        if (segments.start(0) !== i) expect(segments.start(0)).toBe(i);
        segments.shift(1);
      }
      expect([segments.count, segments.bytes]).toEqual([0, 0]);
    });

    it.each([-1, 0.5, 3, Number.NaN])('rejects %d of two', (n) => {
      const { segments } = segmentsOf([0, 10, 0], [0, 5, 0]);
      expect(() => segments.shift(n)).toThrow(RangeError);
      expect(segments.count).toBe(2);
    });
  });

  it('are removed and released from the given one on', () => {
    const { segments, released } = segmentsOf([0, 10, 0], [1, 9, 3], [2, 4, 2]);
    segments.drop(1);
    expect(list(segments)).toEqual(['0: 0-10']);
    expect(segments.bytes).toBe(10);
    expect(released).toEqual([1, 2]);
  });

  it('are removed when there is nothing to release, too', () => {
    const segments = new Segments();
    segments.push(Uint8Array.of(1), 0, 1, 0, undefined);
    segments.drop(0);
    expect([segments.count, segments.bytes]).toEqual([0, 0]);
  });

  it('behave as a list of objects does, in any order of calls', () => {
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    const segments = new Segments();
    const released: number[] = [];
    let model: { id: number; start: number; end: number; boundary: number }[] = [];
    const dropped: number[] = [];
    for (let id = 0; id < 20_000; id++) {
      const choice = random(100);
      // The queue grows to some hundred segments, and is empty at times.
      if (choice < (id % 2000 < 1000 ? 70 : 30)) {
        const start = random(10);
        const end = start + 1 + random(10);
        const boundary = start + random(end - start + 1);
        segments.push(Uint8Array.of(id & 0xff), start, end, boundary, () => released.push(id));
        model.push({ id, start, end, boundary });
      } else if (choice < 98) {
        const n = Math.min(random(4), model.length);
        segments.shift(n);
        model = model.slice(n);
      } else if (choice === 98 && model.length > 0) {
        const keep = random(model.length);
        segments.drop(keep);
        dropped.push(...model.splice(keep).map((each) => each.id));
      } else {
        segments.truncate();
        const keep = model.findIndex((each) => each.boundary !== each.end);
        const cut = model[keep];
        const isKept = cut !== undefined && cut.boundary !== cut.start;
        if (isKept) cut.end = cut.boundary;
        if (cut !== undefined) {
          dropped.push(...model.splice(isKept ? keep + 1 : keep).map((each) => each.id));
        }
      }
      const expected = model.map((each) => `${each.id & 0xff}: ${each.start}-${each.end}`);
      expect(list(segments)).toEqual(expected);
      expect(segments.bytes).toBe(model.reduce((sum, each) => sum + each.end - each.start, 0));
    }
    expect(released).toEqual(dropped);
  });

  it('keep no reference to removed segments', async () => {
    const segments = new Segments();
    const refs = Array.from({ length: 3 }, () => {
      const buf = new Uint8Array(10);
      const release = (): void => {};
      segments.push(buf, 0, 10, 0, release);
      return [new WeakRef(buf), new WeakRef(release)];
    });
    segments.shift(1);
    segments.drop(1);
    // A WeakRef holds its target until the turn ends.
    await setImmediate();
    collectGarbage();
    const held = refs.map((pair) => pair.map((ref) => ref.deref() !== undefined));
    expect(held).toEqual([
      [false, false],
      [true, true],
      [false, false],
    ]);
    expect(segments.count).toBe(1);
  });

  describe('cut', () => {
    it('ends a segment at the given index, and drops the rest', () => {
      const { segments, released } = segmentsOf([0, 10, 0], [1, 9, 3], [2, 4, 2]);
      segments.cut(1, 3);
      expect(list(segments)).toEqual(['0: 0-10', '1: 1-3']);
      expect(segments.bytes).toBe(12);
      expect(released).toEqual([2]);
    });

    it('removes a segment that becomes empty', () => {
      const { segments, released } = segmentsOf([0, 10, 0], [1, 9, 1]);
      segments.cut(1, 1);
      expect(list(segments)).toEqual(['0: 0-10']);
      expect(segments.bytes).toBe(10);
      expect(released).toEqual([1]);
    });

    it('changes nothing when there is no such segment', () => {
      const { segments, released } = segmentsOf([0, 10, 0]);
      segments.cut(1, 0);
      expect([segments.count, segments.bytes, released.length]).toEqual([1, 10, 0]);
    });
  });

  describe('truncate', () => {
    it('keeps nothing where a frame begins first', () => {
      const { segments, released } = segmentsOf([0, 10, 0], [0, 5, 0]);
      segments.truncate();
      expect([segments.count, segments.bytes]).toEqual([0, 0]);
      expect(released).toEqual([0, 1]);
    });

    it('keeps the rest of a frame that began before, up to where the next one begins', () => {
      const { segments, released } = segmentsOf([0, 10, 10], [1, 9, 3], [2, 4, 2]);
      segments.truncate();
      expect(list(segments)).toEqual(['0: 0-10', '1: 1-3']);
      expect(segments.bytes).toBe(12);
      expect(released).toEqual([2]);
    });

    it('keeps whole segments of it when the next frame begins with a slab', () => {
      const { segments, released } = segmentsOf([0, 10, 10], [0, 5, 5], [0, 7, 0]);
      segments.truncate();
      expect(list(segments)).toEqual(['0: 0-10', '1: 0-5']);
      expect(segments.bytes).toBe(15);
      expect(released).toEqual([2]);
    });

    it('keeps all of it when no other frame follows', () => {
      const { segments, released } = segmentsOf([0, 10, 10], [0, 5, 5]);
      segments.truncate();
      expect([segments.count, segments.bytes, released.length]).toEqual([2, 15, 0]);
    });
  });
});
