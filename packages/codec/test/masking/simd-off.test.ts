import { naiveEncode } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';

describe('pools with `simd: false`', () => {
  it('create no WebAssembly memory, nor do the encoder and `unmask`', async () => {
    vi.resetModules();
    const codec = await import('@ws/codec');
    const { FrameEncoder, MessageBuffers, SlabPool, unmask } = codec;
    const Memory = vi.fn();
    vi.stubGlobal('WebAssembly', { Memory });
    const pool = new SlabPool({ simd: false, maxFreeBytes: 0 });
    pool.take(1).release();
    const buffers = new MessageBuffers({ simd: false });
    buffers.give(buffers.take(1));
    const mask = 0x37fa213d;
    const encoder = new FrameEncoder({ role: 'client', pool, nextKey: () => mask });
    encoder.frame(2, true, 0, new Uint8Array(200), 10, 20);
    encoder.frame(2, true, 0, new Uint8Array(70_000));
    const sent = encoder.bytes();
    const wire = naiveEncode(2, new Uint8Array(70_000), { mask });
    const small = naiveEncode(2, new Uint8Array(10), { mask });
    expect(Buffer.compare(sent, Buffer.concat([small, wire]))).toBe(0);
    unmask(new Uint8Array(8000), 0, 8000, 0x37fa213d);
    vi.unstubAllGlobals();
    expect(Memory).not.toHaveBeenCalled();
  });
});
