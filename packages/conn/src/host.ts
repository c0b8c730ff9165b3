import { MaskKeys } from '@ws/codec';
import type { DeflateSource } from './deflate/engine.ts';
import type { Watch } from './watch.ts';

/** What a platform lends to a `Conn`. Every member has a portable default, {@link portableHost}. */
export interface Host {
  /**
   * Writes `text` as UTF-8 at `into[at]` and returns the bytes written. Three bytes for each UTF-16 unit are free
   * there. Lone surrogates become U+FFFD.
   */
  writeUtf8(into: Uint8Array, at: number, text: string): number;
  /** Decodes `bytes[start, end)`, as UTF-8. A byte order mark is kept; what is not UTF-8
   * becomes U+FFFD. */
  decodeUtf8(bytes: Uint8Array, start: number, end: number): string;
  /** Says whether `bytes` is valid UTF-8. Absent where a platform has nothing faster than the codec's own check. */
  readonly isUtf8?: ((bytes: Uint8Array) => boolean) | undefined;
  /**
   * `bytes[start, end)` as an array of the kind that the platform's sockets take as it is, to be written. Absent where a
   * `subarray` is that.
   */
  readonly view?: ((bytes: Uint8Array, start: number, end: number) => Uint8Array) | undefined;
  /** Fills `words` from a cryptographically strong source (RFC 6455, section 10.3). */
  randomFill(words: Int32Array): void;
  /** Milliseconds of a monotonic clock, with fractions. */
  now(): number;
  /** Calls `callback` once after `ms` milliseconds and returns a function that cancels it. Holds no process open. */
  setTimer(ms: number, callback: () => void): () => void;
  /** Runs `callback` when all microtasks that are ready have run, before the next I/O. `callback` never throws. */
  defer(callback: () => void): void;
  /** Runs `callback` in a later turn of the event loop, after I/O had its chance. `callback` never throws. */
  yield(callback: () => void): void;
  /** Compresses messages. Absent where a platform has no zlib that can be driven step by step. */
  readonly deflate?: DeflateSource | undefined;
  /** The host that this one is made of, where it is: what outlives its connections, such as engines, stands on that. */
  readonly base?: Host | undefined;
  /** Is told what becomes of connections. Absent where nobody can ask. */
  readonly watch?: Watch | undefined;
}

/** {@link Host.view}, wherever. */
export function viewOf(host: Host, bytes: Uint8Array, start: number, end: number): Uint8Array {
  return host.view === undefined ? bytes.subarray(start, end) : host.view(bytes, start, end);
}

/** The members of a host that the codec calls, as functions of their own. */
export interface Lent {
  readonly writeUtf8: (into: Uint8Array, at: number, text: string) => number;
  readonly isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  /** A masking key from the host's random words (RFC 6455, section 10.3). */
  readonly nextKey: () => number;
}

const lent = new WeakMap<Host, Lent>();

/** What `host` lends to the codec: made once, so that a connection needs no closure for it. */
export function lentBy(host: Host): Lent {
  let functions = lent.get(host);
  if (functions === undefined) {
    const keys = new MaskKeys((words) => host.randomFill(words));
    functions = {
      writeUtf8: (into, at, text) => host.writeUtf8(into, at, text),
      isUtf8: host.isUtf8 === undefined ? undefined : (bytes) => host.isUtf8!(bytes),
      nextKey: () => keys.next(),
    };
    lent.set(host, functions);
  }
  return functions;
}
