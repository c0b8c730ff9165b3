import type { BackpressureError, MessageDeflate } from '@ws/codec';
import type { Observer } from './observer.ts';

/**
 * The services of the runtime that a `Conn` uses. `portablePlatform` has a portable default for
 * each.
 *
 * The library trusts a platform: its functions must not throw, and must not return promises. A
 * `yield` or `defer` that never runs its callback stalls only the connections of this platform. The
 * callbacks of the library never throw and return nothing.
 */
export interface Platform {
  /**
   * Writes `text` as UTF-8 at `into[at]`, which has room for three bytes for each UTF-16 unit.
   * Lone surrogates become U+FFFD.
   *
   * @returns Number of bytes written.
   */
  writeUtf8(into: Uint8Array, at: number, text: string): number;
  /** Decodes `bytes[start, end)` as UTF-8. Keeps a byte order mark. Invalid bytes become U+FFFD. */
  decodeUtf8(bytes: Uint8Array, start: number, end: number): string;
  /**
   * Whether `bytes` is valid UTF-8. Absent on a platform without a faster check than the codec's.
   */
  readonly isUtf8?: ((bytes: Uint8Array) => boolean) | undefined;
  /**
   * Returns `bytes[start, end)` in the class that the platform's sockets write directly (Node:
   * Buffer). Absent when a `subarray` is enough.
   */
  readonly view?: ((bytes: Uint8Array, start: number, end: number) => Uint8Array) | undefined;
  /**
   * Marks `buffer` as not transferable to another thread. Small messages share marked buffers: the
   * transfer of one message would detach the others. If absent, each message has separate memory,
   * which costs more time.
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
   * Calls `callback` once after `ms` milliseconds. The timer keeps the process alive only with
   * `keepAlive`.
   *
   * @returns A function that cancels the timer.
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
   * permessage-deflate (RFC 7692), such as `nodeDeflate` of `@ws/node-io`. Absent on a platform
   * that does not compress, so that its bundles contain no code for compression.
   */
  readonly deflate?: MessageDeflate | undefined;
  /** The platform that this one extends, if any. Owns long-lived objects such as engines. */
  readonly base?: Platform | undefined;
  /**
   * Whether the library overwrites borrowed bytes with 0xDD after a handler of `receive` has finished.
   * Tests then find a handler that keeps a view. Costs a copy of each message.
   * Default: whether `debugPools` was called.
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

/** Returns a function that creates one `T` for each platform, at its first call. */
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
