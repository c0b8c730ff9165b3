import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytesOf, controlPayload, isUnstable } from '../../src/writing/payload.ts';

/** The TypeScript library of this target has no types for it. */
const Resizable = ArrayBuffer as unknown as new (
  size: number,
  options: { readonly maxByteLength: number },
) => ArrayBuffer & { resize(size: number): void };

describe('bytesOf', () => {
  const { buffer } = Uint8Array.of(1, 2, 3, 4, 5, 6);
  const shared = new SharedArrayBuffer(3);

  it.each([
    ['an array as it is', Buffer.from([7, 8]), [7, 8]],
    ['an empty array', new Uint8Array(0), []],
    ['a view of a part', new DataView(buffer, 1, 2), [2, 3]],
    ['numbers of two bytes', new Uint16Array(buffer, 2, 1), [3, 4]],
    ['a buffer', buffer, [1, 2, 3, 4, 5, 6]],
    ['a shared buffer', shared, [0, 0, 0]],
  ])('returns a view of %s', (_, data, bytes) => {
    const seen = bytesOf(data, 'send');
    expect([...seen]).toEqual(bytes);
    expect(seen.buffer === (ArrayBuffer.isView(data) ? data.buffer : data)).toBe(true);
    if (data instanceof Uint8Array && data.length > 0) expect(seen).toBe(data);
  });

  it.each([
    ['an array', (gone: ArrayBuffer) => new Uint8Array(gone)],
    ['a view', (gone: ArrayBuffer) => new DataView(gone)],
    ['a buffer', (gone: ArrayBuffer) => gone],
  ])('rejects %s that other code owns', (_, make) => {
    const gone = new ArrayBuffer(4);
    const data = make(gone);
    structuredClone(gone, { transfer: [gone] });
    let error: unknown;
    try {
      bytesOf(data, 'send');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      message: expect.stringContaining('the buffer is detached'),
      cause: expect.any(TypeError),
    });
  });

  it.each([undefined, null, 5, 'text', {}, [1, 2]])('rejects %j', (data) => {
    expect(() => bytesOf(data, 'send')).toThrow('expected a string or bytes');
  });

  it('refuses a view whose buffer has shrunk', () => {
    const shrinking = new Resizable(100, { maxByteLength: 100 });
    const bytes = new Uint8Array(shrinking, 50, 10);
    const numbers = new Uint16Array(shrinking, 50, 5);
    const view = new DataView(shrinking, 50, 10);
    shrinking.resize(40);
    for (const data of [bytes, numbers, view]) {
      expect(() => bytesOf(data, 'send')).toThrow('the buffer is detached');
    }
  });

  it('says where options go', () => {
    expect(() => bytesOf({ timeout: 5 }, 'send')).toThrow(
      'writeJSON sends objects, and options come after the data',
    );
  });

  it('recognizes a detached array after many arrays that track the length of their buffer', async () => {
    const resizable = new Resizable(10, { maxByteLength: 20 });
    const kinds = [new Uint8Array(10), new Uint8Array(resizable)];
    let bytes = 0;
    // Node 20 and 22 optimize `length` meanwhile, and forget that a detached array has none.
    for (let turn = 0; turn < 30; turn++) {
      for (let i = 0; i < 30_000; i++)
        for (const one of kinds) bytes += bytesOf(one, 'send').length;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    expect(bytes).toBe(30 * 30_000 * 20);
    const gone = new Uint8Array(500);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(() => bytesOf(gone, 'send')).toThrow('the buffer is detached');
  });
});

describe('controlPayload', () => {
  const platform = new FakePlatform();

  it('accepts text as UTF-8, or bytes, up to 125 bytes', () => {
    expect([...controlPayload('é', platform, 'ping')]).toEqual([0xc3, 0xa9]);
    const bytes = new Uint8Array(125);
    expect(controlPayload(bytes, platform, 'ping').buffer).toBe(bytes.buffer);
  });

  it.each([new Uint8Array(126), 'x'.repeat(126), 'é'.repeat(63)])(
    'rejects a larger payload: %#',
    (data) => {
      expect(() => controlPayload(data, platform, 'ping')).toThrow(RangeError);
    },
  );
});

describe('isUnstable', () => {
  it.each([
    ['memory of one thread', new ArrayBuffer(4), false],
    ['memory that threads share', new SharedArrayBuffer(4), true],
    ['memory that may shrink', new Resizable(4, { maxByteLength: 8 }), true],
  ])('of %s: %j', (_, buffer, unstable) => {
    expect(isUnstable(new Uint8Array(buffer))).toBe(unstable);
  });
});
