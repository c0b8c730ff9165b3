import {
  ContinuationFrame,
  isControl,
  type SlabSource,
  utf8Length,
  type WebSocketError,
} from '@ws/codec';
import { DeflateStream, type Deflation } from './deflate/deflation.ts';
import { RSV1 } from './deflate/engine.ts';
import { SCRATCH } from './deflate/engines.ts';
import { LateMessage } from './deflate/late-message.ts';
import { NOBODY } from './free-list.ts';
import type { Host } from './host.ts';
import { type KeptBytes, keepBytes, lostBytes, ownBytes } from './kept-bytes.ts';
import { Line } from './line.ts';
import type { DataType } from './message.ts';
import { type FragmentSink, MessageWriter } from './message-writer.ts';
import type { Outbox, OutboxOwner } from './outbox.ts';
import type { PreparedMessage } from './prepared-message.ts';
import { rejected } from './promises.ts';
import { utf8 } from './text.ts';

/** What the writing side asks of its connection. */
export interface WritingOwner extends OutboxOwner {
  /** Set where compressed messages are agreed on. */
  readonly deflating: { readonly deflation: Deflation } | undefined;
  /** Sends a control frame; a close frame starts the closing handshake. */
  control(type: number, payload: Uint8Array): Promise<void>;
  /** A message of which a part was sent can never end. */
  writerBroken(reason: unknown): void;
}

/**
 * The writing side: whole messages go straight to the outbox, compressed where that is agreed on and pays, unless a
 * MessageWriter is open or a large message is being compressed; then they wait in line.
 *
 * One that is {@link atRest} holds nothing of its connection, and may serve another.
 */
export class Writing implements FragmentSink {
  readonly outbox: Outbox;
  #owner: WritingOwner = NOBODY;
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
  #deflation: Deflation | undefined;
  /** The close frame is to leave: nothing is compressed any more. */
  #hurries = false;
  #line: Line | undefined;
  /** How many in line finish the writers before them: `nextWriter` without `queue`. */
  #impatient = 0;

  constructor(
    outbox: Outbox,
    host: Host,
    pool: SlabSource,
    fragmentSize: number,
    copiesAll: boolean,
  ) {
    this.outbox = outbox;
    this.#host = host;
    this.#pool = pool;
    this.#fragmentSize = fragmentSize;
    this.#copiesAll = copiesAll;
  }

  /** Works for `owner` from here on. */
  serve(owner: WritingOwner): void {
    this.#owner = owner;
    this.#deflation = owner.deflating?.deflation;
    this.outbox.serve(owner);
  }

  /** Whether all that was accepted has been sent, and nobody waits for it. */
  get atRest(): boolean {
    return (
      this.outbox.atRest &&
      !this.#busy &&
      !this.#hurries &&
      this.held === 0 &&
      (this.#line === undefined || this.#line.empty)
    );
  }

  /** Leaves its owner. */
  leaveOwner(): void {
    this.#owner = NOBODY;
    this.#deflation = undefined;
    this.#compress = undefined;
    this.outbox.leaveOwner();
  }

  /** Whether the next message has to wait for one before it. */
  get #busy(): boolean {
    return this.#writer !== undefined || this.#late !== undefined;
  }

  get error(): WebSocketError | undefined {
    return this.outbox.error;
  }

  /** Bytes that wait in line, and behind each other in the open writer. */
  get waiting(): number {
    return this.held + (this.#line?.bytes ?? 0) + (this.#late?.size ?? 0);
  }

  refused(): Promise<void> | undefined {
    return this.outbox.refused();
  }

  refusal(size: number): Promise<void> | undefined {
    return this.outbox.refusal(size, undefined, this.waiting);
  }

  /** The write that `promise` stands for is not wanted any more, if its turn has not come yet. */
  giveUp(promise: Promise<unknown>, reason: unknown): void {
    const late = this.#late;
    if (late !== undefined && (late.turn ?? late.promise) === promise) {
      this.#late = undefined;
      late.drop(reason);
      this.#advance();
    } else this.#line?.leave(promise, reason);
  }

  /** A whole message of text; `compress`: what its writer says about that; `owed`: it was accepted, to wait in line. */
  text(type: DataType, text: string, compress: boolean | undefined, owed = false): Promise<void> {
    const { outbox } = this;
    if (this.#busy) {
      const refusal = outbox.refusal(text.length, text, this.waiting);
      if (refusal !== undefined) return refusal;
      return this.#join(text.length, () => this.text(type, text, compress, true));
    }
    if (!this.#compressesText(text, compress)) return outbox.text(type, text, owed);
    const refusal = owed ? outbox.refused() : outbox.refusal(text.length, text, 0);
    if (refusal !== undefined) return refusal;
    const { plain } = this.#deflation!.engines;
    if (text.length * 3 > SCRATCH) {
      const kept = ownBytes(utf8(text, this.#host));
      return this.#pack(type, kept.bytes, 0, kept.end, kept);
    }
    return this.#pack(type, plain, 0, this.#host.writeUtf8(plain, 0, text));
  }

  /** A whole message of `bytes[start, end)`; `kept`: they were kept, since it was accepted to wait in line. */
  message(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    kept?: KeptBytes,
  ): Promise<void> {
    const { outbox } = this;
    const size = end - start;
    const owed = kept !== undefined;
    if (this.#busy) return this.#waitInLine(type, bytes, start, end, compress);
    if (!this.#compresses(size, compress)) return outbox.message(type, bytes, start, end, owed);
    // An engine would read past their end, and that is the end of the process.
    if (end > bytes.byteLength) return rejected(lostBytes());
    const refusal = owed ? outbox.refused() : outbox.refusal(size, undefined, 0);
    return refusal ?? this.#pack(type, bytes, start, end, kept);
  }

  #waitInLine(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): Promise<void> {
    const size = end - start;
    const refusal = this.outbox.refusal(size, undefined, this.waiting);
    if (refusal !== undefined) return refusal;
    const kept = keepBytes(bytes, start, end, this.#copiesAll);
    const send = (): Promise<void> => {
      try {
        return this.message(type, kept.bytes, kept.start, kept.end, compress, kept);
      } finally {
        kept.free();
      }
    };
    return this.#join(size, send, kept.free);
  }

  /** A message whose compressed forms are kept with it; `owed`: it was accepted, to wait in line. */
  prepared(message: PreparedMessage, owed = false): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { length } = bytes;
    const deflation = this.#deflation;
    const { outbox } = this;
    const refusal = owed ? outbox.refused() : outbox.refusal(length, undefined, this.waiting);
    if (refusal !== undefined) return refusal;
    if (this.#busy) return this.#join(length, () => this.prepared(message, true));
    if (deflation === undefined || !this.#compresses(length, undefined)) {
      return outbox.shared(type, bytes, 0, length);
    }
    const form = formOf(message, deflation);
    if (form === undefined) return this.#later(type, ownBytes(bytes), message);
    if (form.length === 0) return outbox.shared(type, bytes, 0, length);
    deflation.passed(bytes, 0, length);
    try {
      return outbox.shared(type, form, RSV1, length);
    } catch (error) {
      deflation.forget();
      throw error;
    }
  }

  #compresses(size: number, compress: boolean | undefined): boolean {
    return !this.#hurries && this.#deflation?.wants(size, compress) === true;
  }

  #compressesText(text: string, compress: boolean | undefined): boolean {
    // A UTF-16 unit is three bytes at most.
    if (!this.#compresses(text.length * 3, compress)) return false;
    return this.#compresses(text.length, compress) || this.#compresses(utf8Length(text), compress);
  }

  /** Compresses a message that is accepted, here or on another thread; `kept`: its bytes, when they are kept already. */
  #pack(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    kept?: KeptBytes,
  ): Promise<void> {
    const { outbox } = this;
    const deflation = this.#deflation!;
    if (deflation.isLarge(end - start)) {
      // What was kept for its wait in line is freed when its turn has come.
      const ours = kept?.ours === true ? kept : keepBytes(bytes, start, end, this.#copiesAll);
      return this.#later(type, ours, undefined);
    }
    try {
      const size = deflation.deflate(bytes, start, end);
      if (size === 0) return outbox.message(type, bytes, start, end, true);
      return outbox.compressed(type, deflation.takeOutput(), 0, size, end - start);
    } catch (error) {
      deflation.forget();
      throw error;
    }
  }

  #later(type: DataType, kept: KeptBytes, prepared: PreparedMessage | undefined): Promise<void> {
    const late = new LateMessage(type, kept, this.outbox, this.#deflation!);
    this.#late = late;
    try {
      late.begin(prepared, () => {
        this.#late = undefined;
        this.#advance();
      });
    } catch {
      // There is no thread to be had: nobody waits for it.
      this.#late = undefined;
      late.sendPlain();
    }
    return late.promise;
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
    if (stream === undefined) return this.outbox.fragment(opcode, fin, bytes, start, end);
    const rsv = opcode === ContinuationFrame ? 0 : RSV1;
    try {
      const size = stream.fragment(bytes, start, end, fin);
      if (fin) this.#endStream();
      return this.outbox.fragment(opcode, fin, stream.output, 0, size, end - start, rsv);
    } catch (error) {
      this.#deflation!.forget();
      throw error;
    }
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
    if (!isControl(type)) this.outbox.complete(type, bytes);
  }

  leave(writer: MessageWriter): void {
    if (this.#writer !== writer) return;
    const owner = this.#owner;
    this.#writer = undefined;
    this.#endStream();
    this.#advance();
    owner.rest();
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
    const begin = (): T | PromiseLike<T> => {
      const begun = start();
      // Whoever gives up its turn means what has become of it.
      if (this.#late !== undefined && this.#late.promise === begun) this.#late.turn = turn;
      return begun;
    };
    const turn = this.#line.join(size, begin, drop);
    return turn;
  }
}

/** {@link PreparedMessage.form}; empty too when there is no memory to make it. */
function formOf(message: PreparedMessage, deflation: Deflation): Uint8Array | undefined {
  try {
    return message.form(deflation);
  } catch {
    return new Uint8Array(0);
  }
}
