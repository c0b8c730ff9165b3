import { Buffer, constants as bufferConstants } from 'node:buffer';
import { constants, inflateRawSync } from 'node:zlib';
import {
  type History,
  InflateCorrupt,
  InflateDone,
  InflateMore,
  type Inflater,
  type InflateStatus,
  InflateTooLong,
} from '@ws/conn';
import { MAX_WINDOW, STORED_HEADER, TAIL, writeStoredHeader } from './settings.ts';

/** What has come of a message is inflated anew with each piece, up to so many pieces, and bytes of either kind. */
const EAGER_PIECES = 64;
const EAGER_BYTES = 65_536;
/** And from then on when it has grown by a quarter: so each byte is inflated five times at most. */
const GROWTH = 1.25;
/** Final blocks that a message may have: with each, the rest of the message is inflated by itself. */
const MAX_FINALS = 8;

/** The tail, and a final block by which zlib knows that nothing was cut off. */
const ENDING = /* @__PURE__ */ Uint8Array.of(...TAIL, 0x01, ...TAIL);

/** What Node's functions that inflate return with `info`. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/**
 * An {@link Inflater} by the documented functions of `node:zlib`, which begin anew with each call: it keeps the message
 * that is under way, compressed and plain, and the plain text that came before.
 */
export class OneshotInflater implements Inflater {
  used = 0;
  produced = 0;
  limit = 0;
  again = 0;
  /** Plain bytes from before the message. */
  #history: Uint8Array = NONE;
  /** Plain bytes of the message: those up to `#given` are handed out. */
  #plain: Uint8Array = NONE;
  #given = 0;
  /** Where in `#plain` the current stream begins: behind the last final block. */
  #base = 0;
  /** Input of the current stream: `#input[0, #size)`. */
  #input: Uint8Array = NONE;
  #size = 0;
  #pieces = 0;
  /** The size from which on to inflate again. */
  #due = 0;
  #finals = 0;
  /** The message is inflated to its end. */
  #ended = false;
  #corrupt = false;

  reset(history: History | undefined): void {
    this.#history = NONE;
    if (history !== undefined && history.length > 0) {
      this.#history = new Uint8Array(history.length);
      history.copyTo(this.#history, 0);
    }
    this.#corrupt = false;
    this.#begin();
  }

  #begin(): void {
    this.#plain = this.#input = NONE;
    this.#given = this.#base = this.#size = this.#pieces = this.#due = this.#finals = 0;
    this.#ended = false;
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
    this.used = this.produced = this.again = 0;
    if (this.#corrupt) return InflateCorrupt;
    this.#take(input, from, to);
    if (!this.#ended && (last || (from < to && this.#isDue()))) {
      const status = this.#inflate(last);
      if (status !== InflateDone) {
        this.#corrupt = true;
        return status;
      }
    }
    this.used = to - from;
    this.#give(output, at, end);
    if (this.#given < this.#plain.length) return InflateMore;
    if (this.#ended) this.#goOn();
    return InflateDone;
  }

  #take(input: Uint8Array, from: number, to: number): void {
    const size = this.#size + to - from;
    if (size > this.#input.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#input.length));
      grown.set(this.#input.subarray(0, this.#size));
      this.#input = grown;
    }
    this.#input.set(input.subarray(from, to), this.#size);
    this.#size = size;
  }

  #isDue(): boolean {
    const few = Math.max(this.#size, this.#plain.length) <= EAGER_BYTES;
    return (++this.#pieces <= EAGER_PIECES && few) || this.#size >= this.#due;
  }

  #give(output: Uint8Array, at: number, end: number): void {
    const size = Math.min(end - at, this.#plain.length - this.#given);
    output.set(this.#plain.subarray(this.#given, this.#given + size), at);
    this.#given += size;
    this.produced = size;
  }

  /** Inflates what has come of the message: one stream, and as many more as begin behind final blocks. */
  #inflate(last: boolean): InflateStatus {
    while (this.#size > 0) {
      const prefix = this.#prefix();
      this.again += this.#plain.length - this.#base;
      const inflated = this.#attempt(prefix, last);
      if (typeof inflated === 'number') return inflated;
      this.#plain = join(this.#plain.subarray(0, this.#base), inflated.buffer, prefix);
      if (this.#plain.length > this.limit) return InflateTooLong;
      const used = inflated.engine.bytesWritten - (prefix > 0 ? prefix + STORED_HEADER : 0);
      if (last && !this.#isWhole(used - this.#size, prefix)) return InflateCorrupt;
      if (used >= this.#size) break;
      if (++this.#finals > MAX_FINALS) return InflateCorrupt;
      this.#base = this.#plain.length;
      this.#input = this.#input.slice(used, this.#size);
      this.#size -= used;
    }
    this.#due = this.#size * GROWTH;
    this.#ended = last;
    return InflateDone;
  }

  /**
   * Says whether the stream has ended where it should: with the ending, or before, by a final block of its own.
   *
   * @param over - Bytes of the ending that were used.
   */
  #isWhole(over: number, prefix: number): boolean {
    if (over <= 0) return true;
    if (over !== TAIL.length && over !== ENDING.length) return false;
    // The tail may have passed for the last four bytes of a stored block that was cut off; or, where it has ended a final
    // block, for the rest of that. Either way it has given bytes.
    const end = this.#plain.length - TAIL.length;
    const isStored = TAIL.every((byte, i) => this.#plain[end + i] === byte);
    if (over === ENDING.length && !isStored) return true;
    const alone = this.#attempt(prefix, false);
    return (
      typeof alone !== 'number' && this.#base + alone.buffer.length - prefix === this.#plain.length
    );
  }

  /** Bytes of plain text that the current stream may refer back to. */
  #prefix(): number {
    return Math.min(MAX_WINDOW, this.#history.length + this.#base);
  }

  /** Inflates the current stream behind a stored block with what came before it, which every platform takes. */
  #attempt(prefix: number, last: boolean): Inflated | InflateStatus {
    const header = prefix > 0 ? prefix + STORED_HEADER : 0;
    const ending = last ? ENDING : NONE;
    const stream = new Uint8Array(header + this.#size + ending.length);
    if (prefix > 0) {
      writeStoredHeader(stream, prefix);
      copyLast(this.#history, this.#plain.subarray(0, this.#base), stream, STORED_HEADER, prefix);
    }
    stream.set(this.#input.subarray(0, this.#size), header);
    stream.set(ending, header + this.#size);
    const left = prefix + this.limit - this.#base;
    try {
      // The types do not know `info`.
      return inflateRawSync(stream, {
        finishFlush: last ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
        maxOutputLength: Math.max(1, Math.min(left, bufferConstants.MAX_LENGTH)),
        info: true,
      }) as unknown as Inflated;
    } catch (error) {
      return verdict(error);
    }
  }

  /** The message is handed out; what is kept of it is what the next one may refer back to. */
  #goOn(): void {
    const size = Math.min(MAX_WINDOW, this.#history.length + this.#plain.length);
    const history = new Uint8Array(size);
    copyLast(this.#history, this.#plain, history, 0, size);
    this.#history = history;
    this.#begin();
  }

  close(): void {
    this.#history = NONE;
    this.#begin();
  }
}

const NONE = /* @__PURE__ */ new Uint8Array(0);

/** Copies the last `size` bytes of two to `into[at]`. */
export function copyLast(
  older: Uint8Array,
  newer: Uint8Array,
  into: Uint8Array,
  at: number,
  size: number,
): void {
  const ofOlder = Math.max(0, size - newer.length);
  into.set(older.subarray(older.length - ofOlder), at);
  into.set(newer.subarray(newer.length - (size - ofOlder)), at + ofOlder);
}

function join(before: Uint8Array, inflated: Buffer, skip: number): Uint8Array {
  const after = inflated.subarray(skip);
  return before.length === 0 ? after : Buffer.concat([before, after]);
}

/** What an error of zlib says of the input. @throws the error when it says nothing of it. */
function verdict(error: unknown): InflateStatus {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_BUFFER_TOO_LARGE') return InflateTooLong;
  if (code === 'Z_DATA_ERROR' || code === 'Z_BUF_ERROR') return InflateCorrupt;
  throw error;
}
