import { Buffer, constants as bufferConstants } from 'node:buffer';
import { constants, inflateRawSync } from 'node:zlib';
import { NO_BYTES } from '@ws/codec/internal';
import { type History, type Inflater, type InflateStatus } from '@ws/conn';
import { InflateCorrupt, InflateDone, InflateMore, InflateTooLong } from '@ws/conn/internal';
import { MAX_WINDOW, STORED_HEADER, TAIL, writeStoredHeader } from './settings.ts';

/**
 * The message so far is inflated again for each piece, up to this many pieces and bytes, compressed
 * or plain.
 */
const EAGER_PIECES = 64;
const EAGER_BYTES = 65_536;
/**
 * Beyond that it is inflated again when it has grown by a quarter, so that each byte is inflated
 * five times at most.
 */
const GROWTH = 1.25;
/**
 * Most final blocks in a message. After each, the rest of the message is inflated as a new stream.
 */
const MAX_FINALS = 8;

/** Cost of starting zlib for a call, in plain bytes: about 5 µs. */
const CALL_COST = 4_096;

/** The tail and a final block, which shows zlib that the message was not cut off. */
const ENDING = /* @__PURE__ */ Uint8Array.of(...TAIL, 0x01, ...TAIL);

/** The result of zlib's inflate functions with the option `info`. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/**
 * An {@link Inflater} on the documented functions of `node:zlib`, which start from scratch at each
 * call. It keeps the current message, compressed and plain, and the plain text before it.
 */
export class OneshotInflater implements Inflater {
  used = 0;
  produced = 0;
  limit = 0;
  extraCost = 0;
  /** Plain bytes before the message. */
  #history: Uint8Array = NO_BYTES;
  /** Plain bytes of the message. Those before `#given` are returned. */
  #plain: Uint8Array = NO_BYTES;
  #given = 0;
  /** Index in `#plain` where the current stream begins: after the last final block. */
  #base = 0;
  /** Input of the current stream: `#input[0, #size)`. */
  #input: Uint8Array = NO_BYTES;
  #size = 0;
  #pieces = 0;
  /** Size of the input at which it is inflated again. */
  #due = 0;
  #finals = 0;
  /** Whether the message is inflated to its end. */
  #ended = false;
  #corrupt = false;

  reset(history: History | undefined): void {
    this.#history = NO_BYTES;
    if (history !== undefined && history.length > 0) {
      this.#history = new Uint8Array(history.length);
      history.copyTo(this.#history, 0);
    }
    this.#corrupt = false;
    this.#startMessage();
  }

  #startMessage(): void {
    this.#plain = this.#input = NO_BYTES;
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
    this.used = this.produced = this.extraCost = 0;
    if (this.#corrupt) return InflateCorrupt;
    this.#append(input, from, to);
    if (!this.#ended && (last || (from < to && this.#isDue()))) {
      const status = this.#inflate(last);
      if (status !== InflateDone) {
        this.#corrupt = true;
        return status;
      }
    }
    this.used = to - from;
    this.#copyOut(output, at, end);
    if (this.#given < this.#plain.length) return InflateMore;
    if (this.#ended) this.#endMessage();
    return InflateDone;
  }

  #append(input: Uint8Array, from: number, to: number): void {
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

  #copyOut(output: Uint8Array, at: number, end: number): void {
    const size = Math.min(end - at, this.#plain.length - this.#given);
    output.set(this.#plain.subarray(this.#given, this.#given + size), at);
    this.#given += size;
    this.produced = size;
  }

  /** Inflates the message so far: one stream, and one more after each final block. */
  #inflate(last: boolean): InflateStatus {
    while (this.#size > 0) {
      const prefix = this.#prefix();
      this.extraCost += this.#plain.length - this.#base;
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
   * Whether the stream has ended in the right place: with {@link ENDING}, or earlier, with a final
   * block in the message.
   *
   * @param over - Bytes of {@link ENDING} that were used.
   */
  #isWhole(over: number, prefix: number): boolean {
    if (over <= 0) return true;
    if (over !== TAIL.length && over !== ENDING.length) return false;
    // The tail may have been read as the last four bytes of a stored block that was cut off, or,
    // after the end of a final block, as the rest of that block. In both cases it has produced
    // bytes.
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

  /**
   * Inflates the current stream after a stored block with the plain text before it: every platform
   * supports that.
   */
  #attempt(prefix: number, last: boolean): Inflated | InflateStatus {
    this.extraCost += CALL_COST;
    const header = prefix > 0 ? prefix + STORED_HEADER : 0;
    const ending = last ? ENDING : NO_BYTES;
    const stream = new Uint8Array(header + this.#size + ending.length);
    if (prefix > 0) {
      writeStoredHeader(stream, prefix);
      copyLast(this.#history, this.#plain.subarray(0, this.#base), stream, STORED_HEADER, prefix);
    }
    stream.set(this.#input.subarray(0, this.#size), header);
    stream.set(ending, header + this.#size);
    const left = prefix + this.limit - this.#base;
    try {
      // The types of Node do not contain `info`.
      return inflateRawSync(stream, {
        finishFlush: last ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
        maxOutputLength: Math.max(1, Math.min(left, bufferConstants.MAX_LENGTH)),
        info: true,
      }) as unknown as Inflated;
    } catch (error) {
      return statusOf(error);
    }
  }

  /** The message is returned. Keeps the part that the next message may refer back to. */
  #endMessage(): void {
    const size = Math.min(MAX_WINDOW, this.#history.length + this.#plain.length);
    const history = new Uint8Array(size);
    copyLast(this.#history, this.#plain, history, 0, size);
    this.#history = history;
    this.#startMessage();
  }

  close(): void {
    this.#history = NO_BYTES;
    this.#startMessage();
  }
}

/** Copies the last `size` bytes of both to `into[at]`. */
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

/**
 * The status for an error of zlib that the input caused.
 * @throws any other error.
 */
function statusOf(error: unknown): InflateStatus {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_BUFFER_TOO_LARGE') return InflateTooLong;
  if (code === 'Z_DATA_ERROR' || code === 'Z_BUF_ERROR') return InflateCorrupt;
  throw error;
}
