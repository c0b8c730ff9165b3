import { viewOf } from '../byte-facts.ts';
import { poolsAreDebugged } from '../pool-guard.ts';
import { SimdBlocks } from './simd-blocks.ts';
import { simdModule } from './simd-module.ts';

/**
 * Bytes outside the SIMD memory are copied to this stage to be unmasked, in pieces: a piece stays
 * in the first-level cache. 64 KiB take 1.1 to 1.5 times as long in one piece.
 */
const STAGE_BYTES = 16_384;
/** Page size of WebAssembly. */
const PAGE = 65_536;
/** Offset of the read buffer. */
const READ_AT = PAGE;
/** Size of the read buffer: 1 MiB arrives in fewer reads than with 64 KiB. */
const READ_BYTES = 262_144;
/**
 * Offset of the blocks: 2,192 bytes after the read buffer. No block of 16 KiB or more starts in the first 32 bytes of a 4 KiB page, and
 * none of 64 KiB or more in the first 96. On some processors the operating system copies bytes from
 * the start of a page at a third of its speed when a frame header precedes them: `rep movsb` is slow
 * when the target is a few bytes further in its page.
 */
const BLOCKS_AT = 329_872;
/** Size of all blocks. Only address space until it is used. */
const BLOCKS_BYTES = 67_108_864;
/** The part of it that `debugPools` uses, which fills it at the start. */
const DEBUGGED_BYTES = 16_777_216;

/** The exports of the module, see `simd-module.ts`. */
type Kernels = Pick<Simd, 'xor' | 'move'>;

/**
 * A WebAssembly memory of fixed size and the SIMD kernels for it. The size is fixed because growth
 * would detach every view. There is one per thread: a process can reserve only some thousands.
 */
export class Simd {
  readonly buffer: ArrayBuffer;
  readonly blocks: SimdBlocks;
  /** See {@link simdReadBuffer}. */
  readonly readBuffer: Uint8Array;
  /**
   * XORs the memory's bytes `[at, end)` with `key`. The lowest byte of `key` applies to `at`. An
   * address is an index in a view plus the view's `byteOffset`. A call costs about 4 ns, then 70
   * GB/s and more.
   */
  readonly xor: (at: number, end: number, key: number) => void;
  /**
   * Copies the memory's bytes `[at, end)` to `to` and XORs them on the way. The ranges are the same
   * or do not overlap. Returns 0 when every copied byte is ASCII. As fast as {@link xor} in the
   * first-level cache, 1.3 times as long beyond it.
   */
  readonly move: (at: number, end: number, key: number, to: number) => number;
  readonly #stage: Uint8Array;
  /**
   * View of the part of the stage that was copied out last. Traffic repeats its sizes, and a new
   * view costs 100 bytes.
   */
  #rest: Uint8Array;

  constructor(memory: { readonly buffer: ArrayBuffer }, { xor, move }: Kernels) {
    this.buffer = memory.buffer;
    this.xor = xor;
    this.move = move;
    this.#stage = new Uint8Array(memory.buffer, 0, STAGE_BYTES);
    this.#rest = this.#stage;
    this.readBuffer = new Uint8Array(memory.buffer, READ_AT, READ_BYTES);
    const debug = poolsAreDebugged();
    const bytes = debug ? DEBUGGED_BYTES : BLOCKS_BYTES;
    this.blocks = new SimdBlocks(memory.buffer, BLOCKS_AT, bytes, debug);
  }

  /**
   * XORs `bytes[start, end)` of other memory: copies a piece to the stage, XORs it, copies it back.
   */
  xorForeign(bytes: Uint8Array, start: number, end: number, key: number): void {
    for (let at = start; at < end; at += STAGE_BYTES) {
      const n = Math.min(STAGE_BYTES, end - at);
      // Not `subarray`: of a Buffer it creates a Buffer, which takes three times as long.
      this.#stage.set(viewOf(bytes, at, at + n));
      this.xor(0, n, key);
      bytes.set(this.#staged(n), at);
    }
  }

  /**
   * As {@link move}, from and to other memory: copies a piece to the stage, XORs it, copies it on.
   * Returns 0 when every byte is ASCII.
   */
  moveForeign(
    to: Uint8Array,
    toAt: number,
    from: Uint8Array,
    start: number,
    end: number,
    key: number,
  ): number {
    let high = 0;
    for (let at = start; at < end; at += STAGE_BYTES) {
      const n = Math.min(STAGE_BYTES, end - at);
      this.#stage.set(viewOf(from, at, at + n));
      high |= this.move(0, n, key, 0);
      to.set(this.#staged(n), toAt + at - start);
    }
    return high;
  }

  /** The first `n` bytes of the stage. */
  #staged(n: number): Uint8Array {
    if (n === STAGE_BYTES) return this.#stage;
    if (this.#rest.length !== n) this.#rest = this.#stage.subarray(0, n);
    return this.#rest;
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
    const pages = Math.ceil((BLOCKS_AT + SimdBlocks.memoryFor(BLOCKS_BYTES)) / PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(simdModule(pages));
    const { exports } = new WebAssembly.Instance(module, { m: { m: memory } });
    shared = new Simd(memory, exports as unknown as Kernels);
  } catch {
    // No WebAssembly (--jitless), no SIMD, a content security policy, or no address space: the
    // plain kernels do the work.
    unavailable = true;
  }
  return shared;
}

/** Runs `use` as where WebAssembly is not available, for tests. */
export function withoutSimd<T>(use: () => T): T {
  const before = { shared, unavailable };
  shared = undefined;
  unavailable = true;
  try {
    return use();
  } finally {
    ({ shared, unavailable } = before);
  }
}

/**
 * The thread's read buffer of 256 KiB in the SIMD memory: a message moves from here to a message
 * buffer by one pass of the SIMD kernel. Undefined where that memory is not available.
 *
 * It belongs to the code that reads sockets, which fills it at each read and lends it to one
 * connection until the next read. This package never touches it. The memory is never freed, moved,
 * grown or transferred, so a handle of the operating system may keep its address.
 */
export function simdReadBuffer(): Uint8Array | undefined {
  return simd()?.readBuffer;
}
