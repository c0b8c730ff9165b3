import { constants } from 'node:zlib';
import { type History, type Inflater, InflateStatus } from '@ws/deflate';
import { MAX_WINDOW, STORED_HEADER, TAIL, writeStoredHeader } from './settings.ts';
import { ZlibHandle, type ZlibModule } from './zlib-handle.ts';

/** The tail and one more byte. zlib leaves that byte unread when a block ends before it. */
const TAIL_PROBE = /* @__PURE__ */ Uint8Array.of(...TAIL, 0);
/** Two empty stored blocks. */
const BLOCKS_PROBE = /* @__PURE__ */ Uint8Array.of(0, ...TAIL, 0, ...TAIL);

/** Scratch memory: a history as a stored block, and its inflated bytes, which are discarded. */
let stored: Uint8Array | undefined;
let discarded: Uint8Array | undefined;

/** An {@link Inflater} on the native handle of a zlib stream. */
export class HandleInflater implements Inflater {
  used = 0;
  produced = 0;
  readonly extraCost = 0;
  readonly #zlib: ZlibHandle;
  readonly #stored: Uint8Array = (stored ??= new Uint8Array(STORED_HEADER + MAX_WINDOW));
  readonly #discarded: Uint8Array = (discarded ??= new Uint8Array(MAX_WINDOW + 1));
  /** Whether the message has had input. */
  #begun = false;

  constructor(streams: ZlibModule) {
    this.#zlib = new ZlibHandle(streams.createInflateRaw({ windowBits: 15, chunkSize: 64 }));
  }

  reset(history: History | undefined): void {
    this.#zlib.reset();
    this.#begun = false;
    if (history !== undefined && history.length > 0) this.#prime(history);
  }

  /** Puts a history into zlib's window: a stored block is copied there. */
  #prime(history: History): void {
    const size = history.length;
    writeStoredHeader(this.#stored, size);
    history.copyTo(this.#stored, STORED_HEADER);
    const read = this.#run(constants.Z_SYNC_FLUSH, this.#stored, STORED_HEADER + size);
    if (!read || this.#zlib.produced !== size) throw this.#zlib.failure();
  }

  #run(flush: number, input: Uint8Array, size: number): boolean {
    return this.#zlib.run(flush, input, 0, size, this.#discarded, 0, this.#discarded.length);
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): InflateStatus {
    this.used = this.produced = 0;
    // An empty message has no block that the tail could end.
    if (from === to && !this.#begun) return InflateStatus.Done;
    if (at === end) return InflateStatus.More;
    const zlib = this.#zlib;
    if (!zlib.run(constants.Z_SYNC_FLUSH, input, from, to, output, at, end)) return this.#fault();
    this.#begun = true;
    this.used = zlib.used;
    this.produced = zlib.produced;
    if (zlib.produced === end - at) return InflateStatus.More;
    if (zlib.used < to - from) return InflateStatus.Final;
    return last ? this.#endMessage() : InflateStatus.Done;
  }

  /**
   * Gives the tail to zlib. `Z_BLOCK` makes zlib stop after a block. In a complete message the tail
   * is the rest of an empty stored block. Zlib uses the whole tail and no byte more. In a message
   * that was cut off, zlib reads the tail as other data and reports no error. In one of some
   * thousand such messages, a block ends within the tail all the same. So two empty blocks follow the
   * tail. zlib reads both only if the block ended with the tail. Otherwise one-bits of the tail come
   * before their header: one such bit makes the first block the final block, more bits make blocks of
   * other types.
   */
  #endMessage(): InflateStatus {
    const zlib = this.#zlib;
    if (!this.#run(constants.Z_BLOCK, TAIL_PROBE, TAIL_PROBE.length)) return this.#fault();
    if (zlib.produced > 0) return InflateStatus.Corrupt;
    // The message ends with a final block, which ends the stream.
    if (zlib.used === 0) return InflateStatus.Final;
    if (zlib.used !== TAIL.length) return InflateStatus.Corrupt;
    if (!this.#run(constants.Z_SYNC_FLUSH, BLOCKS_PROBE, BLOCKS_PROBE.length)) return this.#fault();
    // The tail was the end of the final block.
    if (zlib.used === 0) return InflateStatus.Final;
    if (zlib.used !== BLOCKS_PROBE.length || zlib.produced > 0) return InflateStatus.Corrupt;
    this.#begun = false;
    return InflateStatus.Done;
  }

  #fault(): InflateStatus {
    if (this.#zlib.errno === constants.Z_DATA_ERROR) return InflateStatus.Corrupt;
    throw this.#zlib.failure();
  }

  close(): void {
    this.#zlib.close();
  }
}
