import type { BackpressureError, MessageDeflate } from '@ws/codec';
import type { Observer } from './observer.ts';

/**
 * The services of the runtime that a `Conn` uses. `portablePlatform` has a portable default
 * for each.
 *
 * A platform is trusted. Its functions must not throw, and none of them returns a promise. The
 * library does not guard against one that rejects. A `yield` or `defer` that never runs its
 * callback stalls the connections of this platform only. The callbacks of the library never throw
 * and return nothing.
 */
export interface Platform {
  /**
   * Writes `text` as UTF-8 at `into[at]`. The caller provides three bytes for each UTF-16 unit.
   * Lone surrogates become U+FFFD.
   *
   * @returns Bytes written.
   */
  writeUtf8(into: Uint8Array, at: number, text: string): number;
  /**
   * Decodes `bytes[start, end)` as UTF-8. A byte order mark is kept; invalid bytes become U+FFFD.
   */
  decodeUtf8(bytes: Uint8Array, start: number, end: number): string;
  /**
   * Whether `bytes` is valid UTF-8. Absent on a platform without a check that is faster than the
   * codec's.
   */
  readonly isUtf8?: ((bytes: Uint8Array) => boolean) | undefined;
  /**
   * Returns `bytes[start, end)` in the class that the platform's sockets write directly (Node:
   * Buffer). Absent when a `subarray` is enough.
   */
  readonly view?: ((bytes: Uint8Array, start: number, end: number) => Uint8Array) | undefined;
  /**
   * Marks `buffer`: it cannot be transferred to another thread. Messages that are read one after the
   * other share memory that is marked, since a transfer of one would take the others with it. Absent
   * on a platform that cannot mark. Each message then has memory of its own, which costs more time.
   */
  readonly markUntransferable?: ((buffer: ArrayBuffer) => void) | undefined;
  /**
   * Fills `words` with cryptographically strong random bits, for masking keys (RFC 6455, section
   * 10.3).
   */
  randomFill(words: Int32Array): void;
  /** The time of a monotonic clock in ms, with fractions. */
  now(): number;
  /**
   * Calls `callback` once after `ms` milliseconds; the result cancels it. The timer keeps the
   * process alive only with `keepAlive`.
   */
  setTimer(ms: number, callback: () => void, keepAlive?: boolean): () => void;
  /** Runs `callback` after all ready microtasks, before the next I/O. `callback` never throws. */
  defer(callback: () => void): void;
  /**
   * Runs `callback` in a later turn of the event loop, after pending I/O. `callback` never throws.
   */
  yield(callback: () => void): void;
  /** Prints a warning: the default of the option `report`. The text may have several lines. */
  warn(text: string): void;
  /**
   * permessage-deflate (RFC 7692), such as `nodeDeflate` of `@ws/node-io`. Absent on a platform that
   * does not compress. Its bundle contains no code that does.
   */
  readonly deflate?: MessageDeflate | undefined;
  /**
   * The platform that this one extends, if any. Objects that outlive connections, such as engines,
   * belong to it.
   */
  readonly base?: Platform | undefined;
  /**
   * Whether the bytes that a handler of `receive` has borrowed are overwritten with 0xDD when the
   * handler has finished, so that a test finds a view that was kept. For debugging: each message
   * costs a copy. Default: whether `debugPools` was called.
   */
  readonly overwritesLentBytes?: boolean | undefined;
  /** Receives the events of connections. Absent when no program can subscribe. */
  readonly observer?: Observer | undefined;
  /** @internal Bounds the bytes that wait in all connections of this platform together. */
  readonly writeBudget?:
    | {
        readonly exceeded: boolean;
        count(connection: object): void;
        accepts(connection: object, size: number): boolean;
        refusal(size: number): BackpressureError;
      }
    | undefined;
}

/** {@link Platform.view}, or a `subarray` on a platform without it. */
export function viewOf(
  platform: Platform,
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array {
  return platform.view === undefined
    ? bytes.subarray(start, end)
    : platform.view(bytes, start, end);
}

/**
 * Returns a function that creates one `T` for each platform, at the first call with that platform.
 */
export function perPlatform<T extends object>(
  create: (platform: Platform) => T,
): (platform: Platform) => T {
  const created = new WeakMap<Platform, T>();
  return (platform) => {
    let value = created.get(platform);
    if (value === undefined) {
      value = create(platform);
      created.set(platform, value);
    }
    return value;
  };
}
