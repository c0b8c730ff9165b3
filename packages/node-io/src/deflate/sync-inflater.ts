import { kMaxLength } from 'node:buffer';
import { constants } from 'node:zlib';
import { type History, type Inflater, InflateStatus } from '@ws/deflate';
import { STORED_HEADER, writeStoredHeader } from './settings.ts';
import type { ZlibModule } from './zlib-handle.ts';

/** The result of `inflateRawSync` for the option `info`. `bytesWritten` counts the input. */
type Inflated = { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };

/**
 * Ends a message. It completes the header of the empty stored block with which the message ends
 * (RFC 7692, section 7.2.2). Instead of no bytes, the block has these eight. A message that is cut
 * off does not inflate to them.
 */
const MARK = /* @__PURE__ */ Buffer.from('9ec1f04b7a2d6853', 'hex');
const MARK_HEADER = /* @__PURE__ */ Buffer.from('0800f7ff', 'hex');
/** A final block without bytes. zlib reads all of it only when it begins after {@link MARK}. */
const LAST_BLOCK = /* @__PURE__ */ Buffer.from('010000ffff', 'hex');
/** The largest ratio of DEFLATE: the cost of a message that fails somewhere. */
const MAX_RATIO = 1032;
const MIN_CHUNK = 1024;
const MAX_CHUNK = 65_536;
const NOTHING = /* @__PURE__ */ Buffer.alloc(0);

/** An {@link Inflater} on `inflateRawSync`: it inflates a whole message, then hands it out. */
export class SyncInflater implements Inflater {
  used = 0;
  produced = 0;
  extraCost = 0;
  readonly wholeMessages = true;
  readonly #zlib: ZlibModule;
  /** The history as a stored block, which inflates into the window. Not all runtimes take a dictionary. */
  #history: Buffer = NOTHING;
  /** Output that was not handed out: `#plain` from `#at` on. Undefined before the message. */
  #plain: Buffer | undefined;
  #at = 0;
  /** The result after all output. */
  #end: InflateStatus = InflateStatus.Done;

  constructor(zlib: ZlibModule) {
    this.#zlib = zlib;
  }

  reset(history: History | undefined): void {
    this.#plain = undefined;
    this.#history = NOTHING;
    if (history === undefined || history.length === 0) return;
    this.#history = Buffer.alloc(STORED_HEADER + history.length);
    writeStoredHeader(this.#history, history.length);
    history.copyTo(this.#history, STORED_HEADER);
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    _last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
    limit: number,
  ): InflateStatus {
    this.used = this.produced = this.extraCost = 0;
    if (this.#plain === undefined) {
      // An empty message has no block that could end.
      if (from === to) return InflateStatus.Done;
      const status = this.#inflate(input.subarray(from, to), limit);
      if (status < InflateStatus.Done) return status;
    }
    const plain = this.#plain!;
    const size = Math.min(end - at, plain.length - this.#at);
    output.set(plain.subarray(this.#at, this.#at + size), at);
    this.#at += size;
    this.produced = size;
    if (size === end - at) return InflateStatus.More;
    this.#plain = undefined;
    return this.#end;
  }

  #inflate(message: Uint8Array, limit: number): InflateStatus {
    const before = this.#history.length;
    const skipped = Math.max(0, before - STORED_HEADER);
    let result: Inflated;
    try {
      result = this.#zlib.inflateRawSync(
        Buffer.concat([this.#history, message, MARK_HEADER, MARK, LAST_BLOCK]),
        {
          info: true,
          maxOutputLength: Math.min(skipped + limit + 1 + MARK.length, kMaxLength),
          chunkSize: Math.max(MIN_CHUNK, Math.min(skipped + message.length * 4, MAX_CHUNK)),
        },
      ) as Inflated;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ERR_BUFFER_TOO_LARGE') return InflateStatus.TooBig;
      if (code !== 'Z_DATA_ERROR' && code !== 'Z_BUF_ERROR') throw error;
      return this.#corrupt(message, limit);
    }
    const plain = result.buffer.subarray(skipped);
    const used = result.engine.bytesWritten - before;
    const isCut = used > message.length;
    const marked = message.length + MARK_HEADER.length + MARK.length;
    if (isCut && !this.#endsWithMark(plain, message)) return this.#corrupt(message, limit);
    // The block of the mark is the final one, or the block after it.
    const isWhole = used === marked + LAST_BLOCK.length;
    if (isCut && !isWhole && used !== marked) return this.#corrupt(message, limit);
    this.#history = NOTHING;
    this.#end = isWhole ? InflateStatus.Done : InflateStatus.Final;
    this.#plain = isCut ? plain.subarray(0, -MARK.length) : plain;
    this.#at = 0;
    this.used = Math.min(used, message.length);
    // The copies into `output` are charged by the caller.
    this.extraCost = this.#plain.length;
    return this.#end;
  }

  /** Whether the mark was read as a block: not as a part of a block that is cut off. */
  #endsWithMark(plain: Buffer, message: Uint8Array): boolean {
    const text = plain.subarray(0, -MARK.length);
    if (!plain.subarray(-MARK.length).equals(MARK)) return false;
    if (!text.subarray(-MARK_HEADER.length).equals(MARK_HEADER)) return true;
    // The end of the message looks like the header of the mark. Or a stored block lacks 12 bytes.
    const all = Buffer.concat([this.#history, message]);
    const alone = this.#zlib.inflateRawSync(all, { finishFlush: constants.Z_SYNC_FLUSH });
    const skipped = Math.max(0, this.#history.length - STORED_HEADER);
    return (alone as Buffer).length === skipped + text.length;
  }

  #corrupt(message: Uint8Array, limit: number): InflateStatus {
    this.extraCost = Math.min(limit, message.length * MAX_RATIO);
    return InflateStatus.Corrupt;
  }

  close(): void {
    this.reset(undefined);
  }
}
