import type { DeflateRaw, InflateRaw, ZlibOptions } from 'node:zlib';
import { lengthOf } from '@ws/codec/internal';

/** The functions of `node:zlib` that compress on this thread. */
export interface ZlibModule {
  createInflateRaw(options: object): InflateRaw;
  createDeflateRaw(options: object): DeflateRaw;
  inflateRawSync(input: Uint8Array, options: ZlibOptions): unknown;
  deflateRawSync(input: Uint8Array, options: ZlibOptions): Uint8Array;
}

/**
 * Internals of `ZlibBase` (`lib/zlib.js` of Node). Not documented, the same in Node 20 to 26, Bun
 * and Deno. A test at first use decides whether the library uses them.
 */
interface Internals {
  readonly _handle?: Handle | null;
  /** After a write: free bytes of output, unread bytes of input. */
  readonly _writeState?: Uint32Array;
  close(): void;
}

interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputSize: number,
    output: Uint8Array,
    outputAt: number,
    outputSize: number,
  ): void;
  reset(): void;
  onerror: (message: string, errno: number, code: string) => void;
}

/**
 * The native handle of a zlib stream, called directly. It works synchronously, into memory of the
 * caller, without allocation. The methods of the stream cost 30 to 75 us per message more.
 */
export class ZlibHandle {
  /** Bytes of input that the last `run` has read, and bytes of output that it has written. */
  used = 0;
  produced = 0;
  /** zlib's code and message of the last failure. */
  errno = 0;
  message = '';
  /** The stream owns the handle and closes it when it is collected. */
  readonly #stream: Internals;
  readonly #left: Uint32Array;
  #handle: Handle | undefined;
  #failed = false;

  /** @throws Error when the stream has no such handle. */
  constructor(stream: InflateRaw | DeflateRaw) {
    const { _handle: handle, _writeState: left } = stream as Internals;
    if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function' || !left) {
      stream.close();
      throw new Error('zlib streams have no usable handle on this platform');
    }
    this.#stream = stream;
    this.#handle = handle;
    this.#left = left;
    // `zlibOnError` of Node's lib/zlib.js would destroy the stream for invalid data of a peer, and
    // emit 'error'.
    handle.onerror = (message, errno) => {
      this.#failed = true;
      this.errno = errno;
      this.message = message;
    };
    // If Node destroys the stream nevertheless, `run` notices. The event needs a listener.
    stream.on('error', ignore);
  }

  reset(): void {
    this.#handle!.reset();
  }

  /**
   * Passes `input[from, to)` through zlib into `output[at, end)`.
   *
   * @returns False when zlib has failed: call `reset` before the next run.
   */
  run(
    flush: number,
    input: Uint8Array,
    from: number,
    to: number,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean {
    // Node aborts the process for such a range. The `length` of a detached array may be stale in
    // Node 20 and 22, `byteLength` is not.
    if (to > lengthOf(input) || end > lengthOf(output))
      throw new RangeError('zlib: the range is outside the buffer');
    this.#failed = false;
    this.#handle!.writeSync(flush, input, from, to - from, output, at, end - at);
    // `_writeState` is not updated after a failure.
    if (this.#failed) return false;
    // A destroyed stream has closed its handle. Node aborts the process at a write to a closed
    // handle.
    if (this.#stream._handle !== this.#handle) throw new Error('zlib has destroyed its stream');
    this.used = to - from - this.#left[1]!;
    this.produced = end - at - this.#left[0]!;
    return true;
  }

  /** The error for a failure that the input did not cause: no memory, or wrong use of zlib. */
  failure(): Error {
    return new Error(`zlib: ${this.message} (${this.errno})`);
  }

  close(): void {
    if (this.#handle === undefined) return;
    this.#handle = undefined;
    this.#stream.close();
  }
}

function ignore(): void {}
