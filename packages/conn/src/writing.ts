import {
  ContinuationFrame,
  isControl,
  type SlabSource,
  utf8Length,
  type WebSocketError,
} from '@ws/codec';
import { copyOf } from './copy.ts';
import { DeflateStream, type Deflation } from './deflate/deflation.ts';
import { RSV1 } from './deflate/engine.ts';
import { SCRATCH } from './deflate/engines.ts';
import { LateMessage } from './deflate/late-message.ts';
import type { Host } from './host.ts';
import { leaseOf } from './lease.ts';
import { Line } from './line.ts';
import type { DataType } from './message.ts';
import { type FragmentSink, MessageWriter } from './message-writer.ts';
import { BORROW_FROM, type Outbox } from './outbox.ts';
import type { PreparedMessage } from './prepared-message.ts';
import { rejected } from './promises.ts';
import { utf8 } from './text.ts';

/** Bytes that stay as they are until `free` is called. */
interface KeptBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly free: () => void;
}

/** What the writing side asks of its connection. */
export interface WritingOwner {
  /** Sends a control frame; a close frame starts the closing handshake. */
  control(type: number, payload: Uint8Array): Promise<void>;
  /** A message of which a part was sent can never end. */
  writerBroken(reason: unknown): void;
}

/**
 * The writing side: whole messages go straight to the outbox, compressed where that is agreed on and pays, unless a
 * MessageWriter is open or a large message is being compressed; then they wait in line.
 */
export class Writing implements FragmentSink {
  readonly #owner: WritingOwner;
  readonly #outbox: Outbox;
  readonly #host: Host;
  readonly #pool: SlabSource;
  readonly #fragmentSize: number;
  readonly #copiesAll: boolean;
  /** Bytes of writes that wait for others of the open writer. */
  held = 0;
  #writer: MessageWriter | undefined;
  /** Of the open writer: what it compresses with, and what its owner has said about that. */
  #stream: DeflateStream | undefined;
  #compress: boolean | undefined;
  /** The large message that is being compressed on another thread. */
  #late: LateMessage | undefined;
  readonly #deflation: Deflation | undefined;
  /** The close frame is to leave: nothing is compressed any more. */
  #hurries = false;
  #line: Line | undefined;
  /** How many in line finish the writers before them: `nextWriter` without `queue`. */
  #impatient = 0;

  constructor(
    owner: WritingOwner,
    outbox: Outbox,
    host: Host,
    pool: SlabSource,
    fragmentSize: number,
    copiesAll: boolean,
    deflation: Deflation | undefined,
  ) {
    this.#owner = owner;
    this.#outbox = outbox;
    this.#host = host;
    this.#pool = pool;
    this.#fragmentSize = fragmentSize;
    this.#copiesAll = copiesAll;
    this.#deflation = deflation;
  }

  /** Whether the next message has to wait for one before it. */
  get #busy(): boolean {
    return this.#writer !== undefined || this.#late !== undefined;
  }

  get error(): WebSocketError | undefined {
    return this.#outbox.error;
  }

  /** Bytes that wait in line, and behind each other in the open writer. */
  get waiting(): number {
    return this.held + (this.#line?.bytes ?? 0) + (this.#late?.size ?? 0);
  }

  refused(): Promise<void> | undefined {
    return this.#outbox.refused();
  }

  refusal(size: number): Promise<void> | undefined {
    return this.#outbox.refusal(size, undefined, this.waiting);
  }

  /** The write that `promise` stands for is not wanted any more, if its turn has not come yet. */
  giveUp(promise: Promise<unknown>, reason: unknown): void {
    if (this.#late?.promise === promise) {
      this.#late.drop(reason);
      this.#late = undefined;
      this.#advance();
    } else this.#line?.leave(promise, reason);
  }

  /** A whole message of text; `compress`: what its writer says about that. */
  text(type: DataType, text: string, compress: boolean | undefined): Promise<void> {
    const outbox = this.#outbox;
    if (this.#busy) {
      const refusal = outbox.refusal(text.length, text, this.waiting);
      if (refusal !== undefined) return refusal;
      return this.#join(text.length, () => this.text(type, text, compress));
    }
    if (!this.#compressesText(text, compress)) return outbox.text(type, text);
    const refusal = outbox.refusal(text.length, text, 0);
    if (refusal !== undefined) return refusal;
    const { plain } = this.#deflation!.engines;
    if (text.length * 3 > SCRATCH) {
      const bytes = utf8(text, this.#host);
      return this.#pack(type, bytes, 0, bytes.length, true);
    }
    return this.#pack(type, plain, 0, this.#host.writeUtf8(plain, 0, text));
  }

  /** A whole message of `bytes[start, end)`. */
  message(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): Promise<void> {
    const outbox = this.#outbox;
    const size = end - start;
    if (this.#busy) {
      const refusal = outbox.refusal(size, undefined, this.waiting);
      if (refusal !== undefined) return refusal;
      const kept = this.#keep(bytes, start, end);
      return this.#join(
        size,
        () => {
          const sent = this.message(type, kept.bytes, kept.start, kept.end, compress);
          kept.free();
          return sent;
        },
        kept.free,
      );
    }
    if (!this.#compresses(size, compress)) return outbox.message(type, bytes, start, end);
    // An engine would read past their end, and that is the end of the process.
    if (end > bytes.length) return rejected(lost());
    return outbox.refusal(size, undefined, 0) ?? this.#pack(type, bytes, start, end);
  }

  /** A message whose compressed forms are kept with it. */
  prepared(message: PreparedMessage): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { length } = bytes;
    const deflation = this.#deflation;
    if (deflation === undefined || !this.#compresses(length, undefined)) {
      return this.message(type, bytes, 0, length, false);
    }
    const refusal = this.#outbox.refusal(length, undefined, this.waiting);
    if (refusal !== undefined) return refusal;
    if (this.#busy) return this.#join(length, () => this.prepared(message));
    const form = message.form(deflation);
    if (form === undefined) return this.#later(type, bytes, message);
    if (form.length === 0) return this.#outbox.message(type, bytes, 0, length);
    deflation.passed(bytes, 0, length);
    return this.#outbox.compressed(type, form, 0, form.length, length);
  }

  #compresses(size: number, compress: boolean | undefined): boolean {
    return !this.#hurries && this.#deflation?.wants(size, compress) === true;
  }

  #compressesText(text: string, compress: boolean | undefined): boolean {
    // A UTF-16 unit is three bytes at most.
    if (!this.#compresses(text.length * 3, compress)) return false;
    return this.#compresses(text.length, compress) || this.#compresses(utf8Length(text), compress);
  }

  /** Compresses a message that is accepted, here or on another thread; `ours`: nobody else writes to the bytes. */
  #pack(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    ours = false,
  ): Promise<void> {
    const deflation = this.#deflation!;
    // A thread that reads what its owner gives to somebody else meanwhile would read freed memory.
    if (deflation.isLarge(end - start))
      return this.#later(type, ours ? bytes : copyOf(bytes, start, end), undefined);
    const size = deflation.deflate(bytes, start, end);
    if (size === 0) return this.#outbox.message(type, bytes, start, end);
    return this.#outbox.compressed(type, deflation.output, 0, size, end - start);
  }

  #later(type: DataType, bytes: Uint8Array, prepared: PreparedMessage | undefined): Promise<void> {
    const late = new LateMessage(type, bytes, this.#outbox, this.#deflation!);
    this.#late = late;
    late.begin(prepared, () => {
      this.#late = undefined;
      this.#advance();
    });
    return late.promise;
  }

  /** Bytes of a write that will last until it is sent. */
  #keep(bytes: Uint8Array, start: number, end: number): KeptBytes {
    if (this.#copiesAll || end - start <= BORROW_FROM) {
      return { bytes: copyOf(bytes, start, end), start: 0, end: end - start, free: () => {} };
    }
    const lease = leaseOf(bytes);
    lease?.pin();
    return { bytes, start, end, free: () => lease?.release() };
  }

  /**
   * A writer of the next message. One that is open is finished first, once its calls at work are done; with `queue` its
   * owner finishes it.
   */
  nextWriter(type: number, queue: boolean, compress?: boolean): Promise<MessageWriter> {
    const refused = this.refused();
    if (refused !== undefined) return refused as Promise<never>;
    const open = (): MessageWriter => {
      const writer = new MessageWriter(type, this, this.#host, this.#pool, this.#fragmentSize);
      this.#writer = writer;
      this.#compress = compress;
      return writer;
    };
    const openInTurn = (): MessageWriter => {
      const writer = open();
      // Somebody behind it does not wait for its owner.
      if (this.#impatient > 0) writer.supersede();
      return writer;
    };
    const before = this.#writer;
    if (!this.#busy) return Promise.resolve(open());
    if (queue) return this.#join(0, openInTurn);
    this.#impatient++;
    let waits = true;
    const started = (): void => {
      if (waits) this.#impatient--;
      waits = false;
    };
    const turn = this.#join(
      0,
      () => {
        started();
        return openInTurn();
      },
      started,
    );
    before?.supersede();
    return turn;
  }

  /** Whether a message of `size` bytes would be accepted now. */
  accepts(size: number): boolean {
    return this.error === undefined && this.refusal(size) === undefined;
  }

  fragment(
    opcode: number,
    fin: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    if (isControl(opcode)) return this.#owner.control(opcode, bytes.subarray(start, end));
    if (opcode !== ContinuationFrame) this.#stream = this.#streamFor(fin, end - start);
    const stream = this.#stream;
    if (stream === undefined) return this.#outbox.fragment(opcode, fin, bytes, start, end);
    const size = stream.fragment(bytes, start, end, fin);
    if (fin) this.#endStream();
    const rsv = opcode === ContinuationFrame ? 0 : RSV1;
    return this.#outbox.fragment(opcode, fin, stream.output, 0, size, end - start, rsv);
  }

  /** What the message that begins is compressed with: of its length only the first fragment tells. */
  #streamFor(fin: boolean, size: number): DeflateStream | undefined {
    const deflation = this.#deflation;
    if (deflation === undefined) return undefined;
    const { threshold } = deflation.compression;
    if (!this.#compresses(fin ? size : Math.max(size, threshold), this.#compress)) return undefined;
    const seat = deflation.engines.leaseDeflater(deflation.key);
    return seat === undefined ? undefined : new DeflateStream(deflation, seat);
  }

  #endStream(): void {
    this.#stream?.end();
    this.#stream = undefined;
  }

  complete(type: number, bytes: number): void {
    if (!isControl(type)) this.#outbox.complete(type, bytes);
  }

  leave(writer: MessageWriter): void {
    if (this.#writer !== writer) return;
    this.#writer = undefined;
    this.#endStream();
    this.#advance();
  }

  #advance(): void {
    while (!this.#busy && this.#line?.empty === false) this.#line.advance();
  }

  /** The close frame is about to leave, behind all that was accepted: what is not compressed yet leaves as it is. */
  finish(): void {
    this.#hurries = true;
    const late = this.#late;
    this.#late = undefined;
    late?.sendPlain();
    this.#advance();
  }

  broken(reason: unknown): void {
    this.#owner.writerBroken(reason);
  }

  /** Nothing more is accepted: the open writer is cut, and those in line are told. */
  end(error: WebSocketError): void {
    const writer = this.#writer;
    const late = this.#late;
    this.#writer = undefined;
    this.#late = undefined;
    writer?.fail(error);
    late?.drop(error);
    this.#endStream();
    this.#line?.refuse(error);
  }

  #join<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    this.#line ??= new Line();
    return this.#line.join(size, start, drop);
  }
}

function lost(): TypeError {
  return new TypeError(
    'websocket: bytes of a pending write were detached; leave them alone until its promise settles',
  );
}
