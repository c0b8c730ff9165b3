import { ContinuationFrame, isControl, type Slab, type SlabSource } from '@ws/codec';
import { leaseOf } from './assembly.ts';
import { bytesOf, isBorrowed, type MessageData } from './data.ts';
import { WriteClosedError } from './errors.ts';
import type { Host } from './host.ts';
import { done, handled, rejected } from './promises.ts';
import { utf8 } from './text.ts';

/** RFC 6455, section 5.5: the most that a control frame carries. */
const MAX_CONTROL = 125;

/** Where a writer's fragments go. */
export interface FragmentSink {
  /** Bytes of writes that wait for others. */
  held: number;
  /** A rejected promise when `size` bytes more are too much to wait. */
  refusal(size: number): Promise<void> | undefined;
  /** Why nothing is accepted any more. */
  readonly error: unknown;
  /** Sends `bytes[start, end)` as a fragment; resolves when there is room for the next. */
  fragment(
    opcode: number,
    fin: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void>;
  /** That fragment was the last of a message of `bytes`. */
  complete(type: number, bytes: number): void;
  /** The writer is done: the next one's turn. */
  leave(writer: MessageWriter): void;
  /** The writer was aborted with a fragment sent: the message cannot end any more, so the connection does. */
  broken(reason: unknown): void;
}

/**
 * A message that is written as a stream: a fragment leaves whenever the write buffer is full and more is to come
 * (`writeBufferSize` bytes of payload each), the last one with `close()`. Pings, pongs and a close frame pass between
 * fragments; other messages wait until it is closed (RFC 6455, section 5.4).
 */
export class MessageWriter implements AsyncDisposable {
  readonly #sink: FragmentSink;
  readonly #host: Host;
  readonly #pool: SlabSource;
  readonly #size: number;
  readonly #type: number;
  #opcode: number;
  /** The write buffer; held while the message is written. */
  #slab: Slab | undefined;
  #fill = 0;
  #sent = false;
  /** Bytes of the message that are sent. */
  #bytes = 0;
  /** Why nothing can be written any more. */
  #over: unknown;
  /** Settles with the last call that is at work. */
  #pending: Promise<void> | undefined;

  /** @internal */
  constructor(type: number, sink: FragmentSink, host: Host, pool: SlabSource, size: number) {
    this.#type = type;
    this.#opcode = type;
    this.#sink = sink;
    this.#host = host;
    this.#pool = pool;
    // 5.5: a control frame is never fragmented.
    this.#size = isControl(type) ? MAX_CONTROL : size;
  }

  /**
   * Adds to the message.
   *
   * @param data - Text (each call encoded for itself, lone surrogates as U+FFFD), or bytes in any shape. Leave bytes
   *   alone until the promise settles, save those of a {@link BorrowedMessage}. Nothing at all sends nothing.
   * @returns A promise that resolves when the data is taken and there is room for more. Calls need not wait for each
   *   other: they are taken in their order.
   * @throws (rejects) {@link WriteClosedError} after `close`, `abort` or a later `nextWriter`; {@link CloseSentError}
   *   after a close frame; what ended the connection; {@link BackpressureError} when too much waits that nobody awaited;
   *   TypeError for what is neither text nor bytes; RangeError for more than 125 bytes of a control frame.
   */
  write(data: MessageData): Promise<void> {
    try {
      const bytes = this.#bytesOf(data);
      const closed = this.#refusal();
      if (closed !== undefined) return closed;
      const { length } = bytes;
      const waits = this.#pending !== undefined;
      const refused = waits ? this.#sink.refusal(length) : undefined;
      if (refused !== undefined) return refused;
      const written = this.#after(() => this.#put(bytes, 0, length));
      if (waits) this.#count(length, written);
      if (written !== done) hold(bytes, written);
      return written;
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Ends the message: what is in the write buffer leaves as its last fragment, an empty one when there is nothing.
   *
   * @throws (rejects) As {@link write}.
   */
  close(): Promise<void> {
    const closed = this.#refusal();
    if (closed !== undefined) return closed;
    this.#over = new WriteClosedError();
    return this.#after(() => {
      const sent = this.#flush(true);
      this.#leave();
      return sent;
    });
  }

  /**
   * Gives the message up. When nothing of it has been sent, it is as if it had never been; else it can never end, and
   * the connection fails with 1011. After `close()` nothing happens.
   */
  abort(reason: unknown = new WriteClosedError()): void {
    if (this.#over !== undefined) return;
    this.#over = new WriteClosedError();
    this.#leave();
    if (this.#sent) this.#sink.broken(reason);
  }

  /** The message as a web stream: for `pipeTo`, and for `pipeline` of node:stream. Aborting it is {@link abort}. */
  writable(): WritableStream<MessageData> {
    return new WritableStream<MessageData>({
      write: (chunk) => this.write(chunk),
      close: () => this.close(),
      abort: (reason) => this.abort(reason),
    });
  }

  /** {@link close}, when it is not closed yet: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over === undefined) await this.close();
  }

  /** @internal A later nextWriter wants its turn: finishes the message, once the calls at work are done. */
  supersede(): void {
    if (this.#over === undefined) void this.close();
  }

  /** @internal The connection accepts nothing any more. */
  fail(error: unknown): void {
    this.#over ??= error;
    this.#giveBack();
  }

  #refusal(): Promise<void> | undefined {
    if (this.#over !== undefined) return rejected(this.#over);
    return this.#sink.error === undefined ? undefined : rejected(this.#sink.error);
  }

  #bytesOf(data: MessageData): Uint8Array {
    if (typeof data === 'string') return utf8(data, this.#host);
    return isBorrowed(data) ? data.data : bytesOf(data);
  }

  /** Runs `step` after the calls before it. */
  #after(step: () => Promise<void>): Promise<void> {
    const before = this.#pending;
    const pending = before === undefined ? step() : before.then(step);
    if (pending === done) return done;
    this.#pending = handled(pending);
    const idle = (): void => {
      if (this.#pending === pending) this.#pending = undefined;
    };
    pending.then(idle, idle);
    return pending;
  }

  /** Takes `bytes[at, length)`, a fragment at a time. */
  #put(bytes: Uint8Array, at: number, length: number): Promise<void> {
    let from = at;
    while (from < length) {
      if (this.#sink.error !== undefined) return rejected(this.#sink.error);
      if (bytes.length < length) return this.#lost();
      if (
        this.#size === MAX_CONTROL &&
        this.#fill + length - from > MAX_CONTROL &&
        isControl(this.#type)
      )
        return this.#tooLong();
      if (this.#fill === this.#size) {
        const sent = this.#flush(false);
        if (sent !== done) return sent.then(() => this.#put(bytes, from, length));
      }
      if (this.#fill === 0 && length - from > this.#size) {
        const end = from + this.#size;
        const sent = this.#fragment(false, bytes, from, end);
        if (sent !== done) return sent.then(() => this.#put(bytes, end, length));
        from = end;
        continue;
      }
      const n = Math.min(this.#size - this.#fill, length - from);
      this.#slab ??= this.#pool.take(this.#size);
      this.#slab.bytes.set(bytes.subarray(from, from + n), this.#fill);
      this.#fill += n;
      from += n;
    }
    return done;
  }

  /** Bytes of a write that waited are gone: without them it is another message. */
  #lost(): Promise<void> {
    const error = new TypeError(
      'websocket: bytes of a pending write were detached; leave them alone until its promise settles',
    );
    this.#over = new WriteClosedError();
    this.#leave();
    if (this.#sent) this.#sink.broken(error);
    return rejected(error);
  }

  /** Nothing of it was sent, and nothing is: the connection goes on. */
  #tooLong(): Promise<void> {
    const error = new RangeError(
      'websocket: invalid control frame: more than 125 bytes of payload',
    );
    this.#over = error;
    this.#leave();
    return rejected(error);
  }

  /** Counts bytes that wait until they are written, or never will be. */
  #count(bytes: number, written: Promise<void>): void {
    const sink = this.#sink;
    sink.held += bytes;
    const free = (): void => {
      sink.held -= bytes;
    };
    written.then(free, free);
  }

  #flush(fin: boolean): Promise<void> {
    const fill = this.#fill;
    this.#fill = 0;
    return this.#fragment(fin, this.#slab?.bytes ?? NOTHING, 0, fill);
  }

  #fragment(fin: boolean, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const { error } = this.#sink;
    if (error !== undefined) return rejected(error);
    const opcode = this.#opcode;
    this.#opcode = ContinuationFrame;
    this.#sent = true;
    this.#bytes += end - start;
    const sent = this.#sink.fragment(opcode, fin, bytes, start, end);
    if (fin) this.#sink.complete(this.#type, this.#bytes);
    return sent;
  }

  #leave(): void {
    this.#giveBack();
    this.#sink.leave(this);
  }

  #giveBack(): void {
    const slab = this.#slab;
    this.#slab = undefined;
    this.#fill = 0;
    slab?.release();
  }
}

/** Keeps `bytes` of a borrowed message from being used again until they are written. */
function hold(bytes: Uint8Array, written: Promise<void>): void {
  const lease = leaseOf(bytes);
  if (lease === undefined) return;
  lease.pin();
  written.then(lease.release, lease.release);
}

const NOTHING = /* @__PURE__ */ new Uint8Array(0);
