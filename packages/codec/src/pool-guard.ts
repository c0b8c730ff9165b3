/** Fills released memory and the guards around leased memory. */
const POISON = 0xdb;
/** Size in bytes of a guard, before and after leased memory. No write may change it. */
export const GUARD_BYTES = 64;

let debugging = false;
/** Whether a pool of this thread was created without a guard. */
let unguarded = false;

/**
 * Turns on checks in all pools of this thread: the shared ones of this package, the pools of
 * `@ws/conn`, and every {@link SlabPool} and {@link MessageBuffers} without a `debug` option. For
 * tests, and to find code that keeps borrowed bytes.
 *
 * Released memory is filled with 0xDB: a view that was kept too long shows these bytes. A write to
 * released memory is reported at its next lease. A second release throws, and so does a release
 * after a write before or after the leased bytes. Each lease costs one pass over the memory.
 *
 * Call it before the first connection.
 *
 * @throws Error when a pool exists already: it would stay without checks.
 */
export function debugPools(): void {
  if (unguarded) throw new Error('a pool exists already; call debugPools() first');
  debugging = true;
}

/**
 * Returns a guard for a pool's memory when {@link debugPools} was called, otherwise undefined.
 * Unstable: for the packages of this repository.
 *
 * @param what - Name of a piece of memory in error messages, for example `slab`.
 * @param debug - Whether to guard the memory. Default: whether {@link debugPools} was called.
 */
export function poolGuard(what: string, debug: boolean = debugging): PoolGuard | undefined {
  if (debug) return new PoolGuard(what);
  unguarded ||= !debugging;
  return undefined;
}

/** Whether {@link debugPools} was called. */
export function poolsAreDebugged(): boolean {
  return debugging;
}

/** The error of a second release. */
export function releasedTwice(what: string, cause?: Error): Error {
  return new Error(`${what} released twice`, { cause });
}

/** Records which pieces of memory are leased, and checks the others. See {@link poolGuard}. */
export class PoolGuard {
  readonly #what: string;
  readonly #lent = new WeakSet<Uint8Array>();
  /** The last release of a piece: an error with its stack. */
  readonly #releases = new WeakMap<Uint8Array, Error>();
  /** The memory around a piece, with its guards. */
  readonly #around = new WeakMap<Uint8Array, Uint8Array>();

  /** @internal Made by {@link poolGuard}. */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * @internal Leases a piece of `size` bytes for the first time, with a guard on either side.
   *   `memory` is at least `2 * GUARD_BYTES + headroom` larger.
   * @param headroom - Bytes between the first guard and the piece. They belong to the leaseholder.
   */
  enclose(memory: Uint8Array, size: number, headroom = 0): Uint8Array {
    const start = GUARD_BYTES + headroom;
    const bytes = new Uint8Array(memory.buffer, memory.byteOffset + start, size);
    this.#around.set(bytes, memory);
    memory.fill(POISON, 0, start + size + GUARD_BYTES);
    this.lend(bytes);
    return bytes;
  }

  /** @internal The memory that encloses a piece. */
  memoryOf(bytes: Uint8Array): Uint8Array {
    return this.#around.get(bytes) ?? bytes;
  }

  /**
   * Records a lease of `bytes`. New memory is filled with 0xDB, so that no code takes it for zeros.
   *
   * @throws Error when the memory was written to after {@link takeBack}.
   */
  lend(bytes: Uint8Array): void {
    const release = this.#releases.get(bytes);
    if (release === undefined) poison(bytes);
    else checkPoison(bytes, `${this.#what} of ${bytes.length} bytes`, release);
    this.#lent.add(bytes);
  }

  /**
   * Records the return of `bytes`, the object that was leased, and fills them with 0xDB.
   *
   * @throws Error when they are not leased (released twice, or of another pool), or when memory
   *   outside of them was written to.
   */
  takeBack(bytes: Uint8Array): void {
    if (!this.#lent.delete(bytes)) throw this.releasedTwice(bytes);
    const around = this.#around.get(bytes);
    // A detached buffer has no guards either.
    if (around !== undefined && around.byteLength > 0) this.#checkGuards(around, bytes);
    poison(bytes);
    this.#releases.set(bytes, new Error('released here'));
  }

  /** @internal The error of a second release. */
  releasedTwice(bytes: Uint8Array): Error {
    const cause = this.#releases.get(bytes);
    if (cause === undefined) return new Error(`this ${this.#what} is not leased from this pool`);
    return releasedTwice(this.#what, cause);
  }

  #checkGuards(around: Uint8Array, bytes: Uint8Array): void {
    const first = bytes.byteOffset - around.byteOffset;
    for (const start of [0, first + bytes.length]) {
      const at = firstChange(around.subarray(start, start + GUARD_BYTES));
      if (at === -1) continue;
      throw new Error(
        `${this.#what} of ${bytes.length} bytes: byte ${start + at - first} is outside of it and was written to`,
      );
    }
  }
}

/** Fills `bytes` with 0xDB. Detached bytes are ignored. */
export function poison(bytes: Uint8Array): void {
  if (bytes.byteLength > 0) bytes.fill(POISON);
}

/**
 * Checks that `bytes` are as {@link poison} left them.
 *
 * @param what - Name of the bytes in the error.
 * @param cause - An error with the stack of their release, if it is known.
 * @throws Error when a byte differs.
 */
export function checkPoison(bytes: Uint8Array, what: string, cause?: Error): void {
  const at = firstChange(bytes);
  if (at === -1) return;
  const found = `byte ${at} is 0x${bytes[at]!.toString(16).padStart(2, '0')}`;
  throw new Error(
    `${what} was written to after its release: ${found}; find the code that kept a view`,
    { cause },
  );
}

/** Index of the first byte that is not 0xDB, or -1. */
function firstChange(bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== POISON) return i;
  return -1;
}
