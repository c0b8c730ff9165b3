import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ZlibHandle } from '../../src/deflate/zlib-handle.ts';

/**
 * A detached array with a stale `length`: Node 20 and 22, once its code was optimized for resizable
 * arrays.
 */
function stale(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return Object.defineProperty(bytes, 'length', { value: size });
}

describe('ZlibHandle', () => {
  it('keeps zlib from detached memory, for which Node would end the process', () => {
    const handle = new ZlibHandle(zlib.createDeflateRaw());
    const room = new Uint8Array(100);
    const flush = zlib.constants.Z_SYNC_FLUSH;
    expect(() => handle.run(flush, stale(50), 0, 50, room, 0, 100)).toThrow(RangeError);
    expect(() => handle.run(flush, room, 0, 50, stale(100), 0, 100)).toThrow(RangeError);
    expect(handle.run(flush, room, 0, 50, new Uint8Array(100), 0, 100)).toBe(true);
    handle.close();
  });
});
