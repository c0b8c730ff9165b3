import { poolsAreDebugged } from './pool-guard.ts';
import { simdModule } from './simd-module.ts';
import { SimdSlots } from './simd-slots.ts';

/** Where foreign bytes are taken to be unmasked: one page, as large as the chunks that sockets give. */
const STAGE_BYTES = 64 * 1024;
/** What is lent out as slots, behind the stage. Address space until it is touched. */
const SLOT_BYTES = 16 * 1024 * 1024;
const PAGE = 64 * 1024;

/**
 * A WebAssembly memory of fixed size and the SIMD kernel that works on it. Fixed, because growing would detach every
 * view. One for the thread: a process can reserve only some thousands of them.
 */
export class Simd {
  readonly buffer: ArrayBuffer;
  readonly slots: SimdSlots;
  /**
   * XORs the memory's bytes `[at, end)` with `key`, whose lowest byte falls on `at`. Addresses are those of the
   * memory: a view's index plus its `byteOffset`. About 4 ns a call, then 70 GB/s and more.
   */
  readonly xor: (at: number, end: number, key: number) => void;
  readonly #stage: Uint8Array;
  /** The stage's front part that was copied out last: traffic repeats its sizes, and a view costs 100 bytes. */
  #out: Uint8Array;

  constructor(
    memory: { readonly buffer: ArrayBuffer },
    xor: (at: number, end: number, key: number) => void,
  ) {
    this.buffer = memory.buffer;
    this.xor = xor;
    this.#stage = new Uint8Array(memory.buffer, 0, STAGE_BYTES);
    this.#out = this.#stage;
    this.slots = new SimdSlots(memory.buffer, STAGE_BYTES, SLOT_BYTES, poolsAreDebugged());
  }

  /** XORs `bytes[start, end)` of other memory: copied in, XORed, copied back, by the stage's size. */
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
let refused = false;

/** The thread's SIMD memory, made at the first call; undefined where WebAssembly or its SIMD is not to be had. */
export function simd(): Simd | undefined {
  if (shared !== undefined || refused) return shared;
  try {
    const pages = (STAGE_BYTES + SLOT_BYTES) / PAGE;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(simdModule(pages));
    const { xor } = new WebAssembly.Instance(module, { m: { m: memory } }).exports;
    shared = new Simd(memory, xor as Simd['xor']);
  } catch {
    // No WebAssembly (--jitless), no SIMD, a content security policy, no address space: the plain path does it.
    refused = true;
  }
  return shared;
}
