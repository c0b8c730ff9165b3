import { Lease, lengthOf } from '@ws/codec/internal';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import type { FifoEntry } from '../memory/fifo.ts';
import type { DataType } from '../message.ts';
import { Deferred, markHandled } from '../time/promises.ts';
import { watchChanges } from '../writing/pending-bytes.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';

/**
 * A call that waits for the end of an earlier message: a message must not begin before that (RFC
 * 6455, section 5.4).
 */
export type Waiting = WaitingMessage | WaitingWriter | WaitForRoom;

/** A waiting call. Its promise resolves to `T`. */
class WaitingWrite<T> extends Deferred<T> {
  /** Bytes of the message; 0 for other calls. */
  readonly size: number;
  /** The place of this call in the queue of waiting writes. */
  entry: FifoEntry<Waiting> | undefined;

  constructor(size: number) {
    super();
    this.size = size;
    void markHandled(this.promise);
  }
}

/** A call that waits until the next message has room. */
export class WaitForRoom extends WaitingWrite<void> {
  constructor() {
    super(0);
  }
}

/** A waiting call of `nextWriter`. Its promise resolves to the `MessageWriter`. */
export class WaitingWriter extends WaitingWrite<object> {
  readonly type: number;
  readonly compress: boolean | undefined;
  /** Whether the call finishes the open writer, and the writers of earlier waiting calls. */
  readonly supersedes: boolean;

  constructor(type: number, compress: boolean | undefined, supersedes: boolean) {
    super(0);
    this.type = type;
    this.compress = compress;
    this.supersedes = supersedes;
  }
}

/**
 * A whole message that waits for an earlier message. Fewer than {@link COPY_BELOW} bytes are copied.
 * More are retained, and must not change meanwhile.
 */
export class WaitingMessage extends WaitingWrite<void> {
  readonly type: DataType;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** The option of the caller. */
  readonly compress: boolean | undefined;
  readonly prepared: PreparedMessage | undefined;
  /** Whether no other code uses `bytes`. */
  isOwned = true;
  /** Whether the message can be aborted: it becomes a frame only when the transport takes it. */
  mayAbort = false;
  #lease: Lease | undefined;
  #check: (() => void) | undefined;

  private constructor(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    prepared: PreparedMessage | undefined,
  ) {
    super(end - start);
    this.type = type;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.compress = compress;
    this.prepared = prepared;
  }

  /** Creates a message from bytes that no other code uses. */
  static owning(type: DataType, bytes: Uint8Array, compress: boolean | undefined): WaitingMessage {
    return new WaitingMessage(type, bytes, 0, bytes.length, compress, undefined);
  }

  static prepared(message: PreparedMessage): WaitingMessage {
    const { bytes } = message;
    return new WaitingMessage(message.type as DataType, bytes, 0, bytes.length, undefined, message);
  }

  /** @param copiesAll - Whether to copy large messages too, in place of retaining them. */
  static of(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    copiesAll: boolean,
  ): WaitingMessage {
    if (copiesAll || end - start < COPY_BELOW) {
      return WaitingMessage.owning(type, copyOf(bytes, start, end), compress);
    }
    const message = new WaitingMessage(type, bytes, start, end, compress, undefined);
    message.#retain();
    return message;
  }

  #retain(): void {
    this.isOwned = false;
    this.#lease = Lease.holding(this.bytes);
    this.#lease?.pin();
    this.#check = watchChanges(this.bytes, this.start, this.end);
  }

  /** @throws ChangedBytes when other code has changed the bytes. Only after `debugPools()`. */
  checkUnchanged(): void {
    this.#check?.();
  }

  get isDetached(): boolean {
    return this.end > lengthOf(this.bytes);
  }

  /** The message is sent: its promise settles as `sent` does. */
  finish(sent: Promise<void>): void {
    this.resolve(sent);
    this.#release();
  }

  override reject(error: unknown): void {
    super.reject(error);
    this.#release();
  }

  #release(): void {
    this.#lease?.release();
    this.#lease = undefined;
  }
}
