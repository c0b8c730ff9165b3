import type { DeflateRaw, InflateRaw } from 'node:zlib';

/** Makes zlib's streams, as `node:zlib` does. */
export interface ZlibStreams {
  createInflateRaw(options: object): InflateRaw;
  createDeflateRaw(options: object): DeflateRaw;
}

/** Inside a zlib stream: not documented, the same in Node 20 to 26, Bun and Deno, and tried before it is relied on. */
interface Internals {
  readonly _handle?: Handle | null;
  /** Left over after a write: bytes of output, bytes of input. */
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
 * The native half of a zlib stream, called directly: it works at once, into memory of ours, and allocates nothing.
 * Through the stream's own methods the same costs some 30 to 75 us a message.
 */
export class ZlibHandle {
  /** Bytes of input that the last `run` has used, and bytes that it has put out. */
  used = 0;
  produced = 0;
  /** zlib's code for what has failed last, and its words. */
  errno = 0;
  message = '';
  /** Closes the handle, and would do so when collected. */
  readonly #stream: Internals;
  readonly #left: Uint32Array;
  #handle: Handle | undefined;
  #failed = false;

  /** @throws Error when the stream is not made as it is in Node. */
  constructor(stream: InflateRaw | DeflateRaw) {
    const { _handle: handle, _writeState: left } = stream as Internals;
    if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function' || !left) {
      stream.close();
      throw new Error('the zlib streams of this platform have no handle that can be written to');
    }
    this.#stream = stream;
    this.#handle = handle;
    this.#left = left;
    // The stream's own would destroy it for a peer's bad data, and emit 'error'.
    handle.onerror = (message, errno) => {
      this.#failed = true;
      this.errno = errno;
      this.message = message;
    };
    // Where the stream is told all the same, `run` finds out, and nobody else is to.
    stream.on('error', ignore);
  }

  reset(): void {
    this.#handle!.reset();
  }

  /**
   * Passes `input[from, to)` through zlib into `output[at, end)`.
   *
   * @returns False when zlib has failed: nothing goes on before `reset`.
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
    // Node ends the process for it. Of a detached array `length` may be stale, in Node 20 and 22.
    if (to > input.byteLength || end > output.byteLength)
      throw new RangeError('zlib: beyond the buffer');
    this.#failed = false;
    this.#handle!.writeSync(flush, input, from, to - from, output, at, end - at);
    // What is left is not told after a failure.
    if (this.#failed) return false;
    // A stream that was told after all closes its handle, and Node ends a process that writes to a closed one.
    if (this.#stream._handle !== this.#handle) throw new Error('zlib has destroyed its stream');
    this.used = to - from - this.#left[1]!;
    this.produced = end - at - this.#left[0]!;
    return true;
  }

  /** For a failure that is not the input's: zlib has no memory, or was used wrongly. */
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
