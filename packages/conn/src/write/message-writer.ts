import { ContinuationFrame, isControl, type Slab, type SlabSource } from '@ws/codec';
import { bytesOf, isBorrowed, type MessageData } from './data.ts';
import { WriteClosedError } from './errors.ts';
import type { Host } from './host.ts';
import { lostBytes } from './kept-bytes.ts';
import { leaseOf } from './lease.ts';
import { done, handled, rejected } from './promises.ts';
import { utf8 } from './text.ts';

/** RFC 6455, section 5.5: the most that a control frame carries. */
const MAX_CONTROL = 125;

/** Where a writer's fragments go. */
export interface FragmentSink {
  /** Bytes of writes that wait for others. */
  held: number;
  /** A rejected promise when nothing is accepted any more. */
  refused(): Promise<void> | undefined;
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
  /** The last fragment is sent. */
  #complete = false;
  /** The next one has its turn, or nobody has. */
  #left = false;
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
   *   other: they are taken in their order. One that fails gives the message up, as {@link abort} does: with a hole in it,
   *   it would be another message. What is no data changes nothing.
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
      const refused = waits && length > 0 ? this.#sink.refusal(length) : undefined;
      // A message with a hole is another message: it is given up.
      if (refused !== undefined) return this.#watch(refused);
      const written = this.#after(() => this.#put(bytes, 0, length));
      if (written === done) return done;
      if (waits) this.#count(length, written);
      hold(bytes, written);
      return this.#watch(written);
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
    return this.#watch(
      this.#after(() => {
        const sent = this.#flush(true);
        if (this.#complete) this.#leave();
        return sent;
      }),
    );
  }

  /**
   * Gives the message up. When nothing of it has been sent, it is as if it had never been; else it can never end, and
   * the connection fails with 1011. After `close()` nothing happens.
   */
  abort(reason: unknown = new WriteClosedError()): void {
    if (this.#over !== undefined) return;
    this.#over = new WriteClosedError();
    this.#giveUp(reason);
  }

  /**
   * The message as a web stream: for `pipeTo`, and for `pipeline` of node:stream. Aborting it is {@link abort}, and so is a
   * chunk that is neither text nor bytes.
   */
  writable(): WritableStream<MessageData> {
    return new WritableStream<MessageData>({
      start: ({ signal }) => {
        // Told at once, also while a write waits for a peer that takes nothing.
        signal.addEventListener('abort', () => this.abort(signal.reason));
      },
      write: (chunk) =>
        this.write(chunk).catch((error: unknown) => {
          // The stream fails with it, and calls nothing any more.
          this.abort(error);
          throw error;
        }),
      close: () => this.close(),
    });
  }

  /** {@link close}, when it is not closed yet: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#over === undefined ? this.close() : done;
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
    return this.#over === undefined ? this.#sink.refused() : rejected(this.#over);
  }

  /** When `call` fails, so does the message. */
  #watch(call: Promise<void>): Promise<void> {
    if (call !== done) call.then(undefined, (error: unknown) => this.#giveUp(error));
    return call;
  }

  /** The message will not be complete. */
  #giveUp(reason: unknown): void {
    this.#over ??= reason;
    if (this.#left) return;
    // With a part of it sent, nothing may follow it: those in line are told by the connection's end.
    if (!this.#sent) this.#leave();
    else if (this.#sink.error === undefined) {
      this.#left = true;
      this.#giveBack();
      this.#sink.broken(reason);
    }
  }

  #bytesOf(data: MessageData): Uint8Array {
    if (typeof data === 'string') return utf8(data, this.#host);
    return isBorrowed(data) ? data.data : bytesOf(data);
  }

  /** Runs `step` after the calls before it. */
  #after(step: () => Promise<void>): Promise<void> {
    const before = this.#pending;
    const pending = before === undefined ? attempt(step) : before.then(step);
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
      const refused = this.#sink.refused();
      if (refused !== undefined) return refused;
      if (bytes.byteLength < length) return rejected(lostBytes());
      if (isControl(this.#type) && this.#fill + length - from > MAX_CONTROL) return this.#tooLong();
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

  /** Nothing of it was sent, and nothing is: the connection goes on. */
  #tooLong(): Promise<void> {
    return rejected(
      new RangeError('websocket: invalid control frame: more than 125 bytes of payload'),
    );
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
    const sent = this.#fragment(fin, this.#slab?.bytes ?? NOTHING, 0, this.#fill);
    this.#fill = 0;
    return sent;
  }

  #fragment(fin: boolean, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const refused = this.#sink.refused();
    if (refused !== undefined) return refused;
    try {
      const sent = this.#sink.fragment(this.#opcode, fin, bytes, start, end);
      this.#opcode = isControl(this.#type) ? this.#type : ContinuationFrame;
      this.#sent = !isControl(this.#type);
      this.#bytes += end - start;
      this.#complete = fin;
      if (fin) this.#sink.complete(this.#type, this.#bytes);
      return sent;
    } catch (error) {
      return rejected(error);
    }
  }

  #leave(): void {
    if (this.#left) return;
    this.#left = true;
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

/** What `step` throws, a pool that fails for example, rejects. */
function attempt(step: () => Promise<void>): Promise<void> {
  try {
    return step();
  } catch (error) {
    return rejected(error);
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
