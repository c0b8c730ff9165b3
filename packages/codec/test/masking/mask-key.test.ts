import { MaskKeys } from '@ws/codec';
import { describe, expect, it } from 'vitest';

describe('MaskKeys', () => {
  it('returns each word once, and asks for more when all are used', () => {
    let fills = 0;
    let word = 0;
    const keys = new MaskKeys((words) => {
      fills++;
      for (let i = 0; i < words.length; i++) words[i] = ++word;
    });
    expect(fills).toBe(0);
    const seen = new Set<number>();
    for (let i = 0; i < 4096; i++) seen.add(keys.next());
    expect(seen.size).toBe(4096);
    expect(fills).toBe(2);
    keys.next();
    expect(fills).toBe(3);
  });

  it('returns signed 32-bit integers, and leaves none of them in its pool', () => {
    let pool: Int32Array = new Int32Array(0);
    const keys = new MaskKeys((words) => {
      pool = words;
      words.fill(-5);
    });
    expect(keys.next()).toBe(-5);
    expect(pool.filter((word) => word === 0).length).toBe(1);
  });

  it('rejects a source that is not a function', () => {
    expect(() => new MaskKeys(undefined as never)).toThrow(TypeError);
  });

  it('passes on the error of a source, and asks it again', () => {
    let fails = true;
    const keys = new MaskKeys((words) => {
      if (fails) throw new Error('mine');
      words.fill(7);
    });
    expect(() => keys.next()).toThrow('mine');
    fails = false;
    expect(keys.next()).toBe(7);
  });
});
