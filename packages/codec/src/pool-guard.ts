/** What released memory is filled with, and the words around lent memory. */
const POISON = 0xdb;
const POISON_WORD = 0xdbdbdbdb | 0;
/** Bytes before and behind lent memory that nobody may write to. */
export const GUARD_BYTES = 64;

let debugging = false;
/** Whether there is a pool in this thread that nobody watches over. */
let unwatched = false;

/**
 * Makes the pools of this thread to debug: the shared ones of this package, those of `@ws/conn`, and every
 * {@link SlabPool} and {@link MessageBuffers} that does not say otherwise. Released memory is filled with 0xDB, so that
 * a view that was kept too long shows it; what is written there afterwards is found when it is lent again; a second
 * release throws, and so does a write before or behind what was lent. It costs a pass over the memory at every lease:
 * for tests, and to look for whoever keeps what was only lent.
 *
 * Call it first of all, before there is a connection.
 *
 * @throws Error when there is a pool already, which would go on unwatched.
 */
export function debugPools(): void {
  if (unwatched) throw new Error('a pool was made already; call debugPools() before all else');
  debugging = true;
}

/**
 * Watches over a pool's memory: for pools of your own, when {@link debugPools} was called. Undefined otherwise.
 *
 * @param what - What the pool lends, for the messages: `slab`.
 * @param debug - Whether to watch; what {@link debugPools} has said unless told.
 */
export function poolGuard(what: string, debug: boolean = debugging): PoolGuard | undefined {
  if (debug) return new PoolGuard(what);
  unwatched ||= !debugging;
  return undefined;
}

/** Whether {@link debugPools} was called. */
export function poolsAreDebugged(): boolean {
  return debugging;
}

/** Knows which pieces of memory are lent, and looks at those that are not. See {@link poolGuard}. */
export class PoolGuard {
  readonly #what: string;
  readonly #lent = new WeakSet<Uint8Array>();
  /** Where a piece was released last: an error with that stack. */
  readonly #releases = new WeakMap<Uint8Array, Error>();
  /** The memory around a piece: its guards. */
  readonly #around = new WeakMap<Uint8Array, Uint8Array>();

  /** @internal Made by {@link poolGuard}. */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * @internal A piece of `size` bytes with a guard on either side, lent for the first time. `memory` has
   * `2 * GUARD_BYTES` more, or larger.
   */
  enclose(memory: Uint8Array, size: number): Uint8Array {
    const bytes = new Uint8Array(memory.buffer, memory.byteOffset + GUARD_BYTES, size);
    this.#around.set(bytes, memory);
    memory.fill(POISON, 0, size + 2 * GUARD_BYTES);
    this.lend(bytes);
    return bytes;
  }

  /** @internal What a piece was enclosed in. */
  memoryOf(bytes: Uint8Array): Uint8Array {
    return this.#around.get(bytes) ?? bytes;
  }

  /**
   * Notes that `bytes` are lent. New ones are filled with 0xDB, so that nothing is taken for zeros.
   *
   * @throws Error when somebody has written to them since {@link takeBack}.
   */
  lend(bytes: Uint8Array): void {
    const release = this.#releases.get(bytes);
    if (release === undefined) poison(bytes);
    else checkPoison(bytes, `${this.#what} of ${bytes.length} bytes`, release);
    this.#lent.add(bytes);
  }

  /**
   * Notes that `bytes` are back: the very object that was lent. They are filled with 0xDB.
   *
   * @throws Error when they are not lent: released twice, or another pool's. Or when somebody has written beyond them.
   */
  takeBack(bytes: Uint8Array): void {
    if (!this.#lent.delete(bytes)) throw this.releasedTwice(bytes);
    const around = this.#around.get(bytes);
    if (around !== undefined) this.#checkGuards(around, bytes.length);
    poison(bytes);
    this.#releases.set(bytes, new Error('it was released here'));
  }

  /** @internal What a second release throws. */
  releasedTwice(bytes: Uint8Array): Error {
    const cause = this.#releases.get(bytes);
    if (cause === undefined) return new Error(`this ${this.#what} is not lent by this pool`);
    return new Error(`${this.#what} released twice: it is not lent any more`, { cause });
  }

  #checkGuards(around: Uint8Array, size: number): void {
    // Detached meanwhile, with what it guards.
    if (around.byteLength === 0) return;
    for (const start of [0, GUARD_BYTES + size]) {
      const at = firstChange(around.subarray(start, start + GUARD_BYTES));
      if (at === -1) continue;
      throw new Error(
        `${this.#what} of ${size} bytes: byte ${start + at - GUARD_BYTES} was written to, which is outside of it`,
      );
    }
  }
}

/** Fills `bytes` with what must never be seen. Those that were detached meanwhile are nobody's any more. */
export function poison(bytes: Uint8Array): void {
  if (bytes.byteLength > 0) bytes.fill(POISON);
}

/**
 * @param what - Names them.
 * @param cause - Where they were released, if that is known.
 * @throws Error when `bytes` are not as {@link poison} has left them.
 */
export function checkPoison(bytes: Uint8Array, what: string, cause?: Error): void {
  const at = firstChange(bytes);
  if (at === -1) return;
  const found = bytes[at]!.toString(16).padStart(2, '0');
  throw new Error(
    `${what} was written to after its release: byte ${at} is 0x${found}; look for who has kept a view of it`,
    { cause },
  );
}

/** The first byte that is no poison, or -1. */
function firstChange(bytes: Uint8Array): number {
  const { buffer, byteOffset, byteLength: length } = bytes;
  let i = 0;
  if (length > 0 && byteOffset % 4 === 0) {
    const words = new Int32Array(buffer, byteOffset, length >> 2);
    let w = 0;
    while (w < words.length && words[w] === POISON_WORD) w++;
    i = w * 4;
  }
  while (i < length && bytes[i] === POISON) i++;
  return i < length ? i : -1;
}
