import { describe, expect, it } from 'vitest';
import { bytesOf } from '../src/data.ts';

describe('bytesOf', () => {
  it('knows a detached array after many that follow the length of their buffer', async () => {
    // The types are those of a library from before it.
    const resizable = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(10, {
      maxByteLength: 20,
    });
    const kinds = [new Uint8Array(10), new Uint8Array(resizable)];
    let bytes = 0;
    // Node 20 and 22 optimize `length` meanwhile, and forget that a detached array has none.
    for (let turn = 0; turn < 30; turn++) {
      for (let i = 0; i < 30_000; i++) for (const one of kinds) bytes += bytesOf(one).length;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    expect(bytes).toBe(30 * 30_000 * 20);
    const gone = new Uint8Array(500);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(() => bytesOf(gone)).toThrow('the buffer is detached');
  });
});
