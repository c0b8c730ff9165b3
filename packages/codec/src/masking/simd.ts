import { poolsAreDebugged } from '../pool-guard.ts';
import { SimdBlocks } from './simd-blocks.ts';
import { simdModule } from './simd-module.ts';

/**
 * Bytes outside the SIMD memory are copied to this stage to be unmasked. It has the size of the
 * chunks that libuv reads. It need not equal the size of a slab.
 */
const STAGE_BYTES = 64 * 1024;
/** Size of the memory of all blocks, after the stage. Only address space until it is used. */
const BLOCKS_BYTES = 16 * 1024 * 1024;
const PAGE = 64 * 1024;

/**
 * A WebAssembly memory of fixed size and the SIMD kernel for it. The size is fixed because growth
 * would detach every view. There is one per thread: a process can reserve only some thousands.
 */
export class Simd {
  readonly buffer: ArrayBuffer;
  readonly blocks: SimdBlocks;
  /**
   * XORs the memory's bytes `[at, end)` with `key`. The lowest byte of `key` applies to `at`. An
   * address is an index in a view plus the view's `byteOffset`. A call costs about 4 ns, then 70
   * GB/s and more.
   */
  readonly xor: (at: number, end: number, key: number) => void;
  readonly #stage: Uint8Array;
  /**
   * The part of the stage that was copied out last. Traffic repeats its sizes, and a view costs 100
   * bytes.
   */
  #out: Uint8Array;

  constructor(
    memory: { readonly buffer: ArrayBuffer },
    xor: (at: number, end: number, key: number) => void,
  ) {
    this.buffer = memory.buffer;
    this.xor = xor;
    this.#stage = new Uint8Array(memory.buffer, 0, STAGE_BYTES);
    this.#out = this.#stage;
    this.blocks = new SimdBlocks(memory.buffer, STAGE_BYTES, BLOCKS_BYTES, poolsAreDebugged());
  }

  /**
   * XORs `bytes[start, end)` of other memory: copies a stage's size in, XORs it, copies it back.
   */
  xorForeign(bytes: Uint8Array, start: number, end: number, key: number): void {
    for (let at = start; at < end; at += STAGE_BYTES) {
      const n = Math.min(STAGE_BYTES, end - at);
      this.#stage.set(n === bytes.length ? bytes : bytes.subarray(at, at + n));
      this.xor(0, n, key);
      if (this.#out.length !== n) this.#out = this.#stage.subarray(0, n);
      bytes.set(this.#out, at);
    }
  }
}

let shared: Simd | undefined;
let unavailable = false;

/**
 * The thread's SIMD memory if it was created. Use it where bytes may be in this memory already: a
 * user who sets `simd: false` gets no WebAssembly memory.
 */
export function existingSimd(): Simd | undefined {
  return shared;
}

/**
 * The thread's SIMD memory, created at the first call. Undefined where WebAssembly or its SIMD is
 * not available.
 */
export function simd(): Simd | undefined {
  if (shared !== undefined || unavailable) return shared;
  try {
    const pages = (STAGE_BYTES + BLOCKS_BYTES) / PAGE;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(simdModule(pages));
    const { xor } = new WebAssembly.Instance(module, { m: { m: memory } }).exports;
    shared = new Simd(memory, xor as Simd['xor']);
  } catch {
    // No WebAssembly (--jitless), no SIMD, a content security policy, or no address space: the
    // plain kernels do the work.
    unavailable = true;
  }
  return shared;
}
