import { isControl, type SlabSource, type WebSocketError } from '@ws/codec';
import { leaseOf } from './assembly.ts';
import { copyOf } from './copy.ts';
import type { Host } from './host.ts';
import { Line } from './line.ts';
import type { DataType } from './message.ts';
import { type FragmentSink, MessageWriter } from './message-writer.ts';
import { BORROW_FROM, type Outbox } from './outbox.ts';

/** What the writing side asks of its connection. */
export interface WritingOwner {
  /** Sends a control frame; a close frame starts the closing handshake. */
  control(type: number, payload: Uint8Array): Promise<void>;
  /** A message of which a part was sent can never end. */
  writerBroken(reason: unknown): void;
}

/**
 * The writing side: whole messages go straight to the outbox, unless a MessageWriter is open; then they wait in line.
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
  ) {
    this.#owner = owner;
    this.#outbox = outbox;
    this.#host = host;
    this.#pool = pool;
    this.#fragmentSize = fragmentSize;
    this.#copiesAll = copiesAll;
  }

  get error(): WebSocketError | undefined {
    return this.#outbox.error;
  }

  /** Bytes that wait in line, and behind each other in the open writer. */
  get waiting(): number {
    return this.held + (this.#line?.bytes ?? 0);
  }

  refused(): Promise<void> | undefined {
    return this.#outbox.refused();
  }

  refusal(size: number): Promise<void> | undefined {
    return this.#outbox.refusal(size, undefined, this.waiting);
  }

  /** The write that `promise` stands for is not wanted any more, if its turn has not come yet. */
  giveUp(promise: Promise<unknown>, reason: unknown): void {
    this.#line?.leave(promise, reason);
  }

  text(type: DataType, text: string): Promise<void> {
    const outbox = this.#outbox;
    if (this.#writer === undefined) return outbox.text(type, text);
    const refusal = outbox.refusal(text.length, text, this.waiting);
    if (refusal !== undefined) return refusal;
    return this.#join(text.length, () => outbox.text(type, text));
  }

  /** A whole message of `bytes[start, end)`. */
  message(type: DataType, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const outbox = this.#outbox;
    if (this.#writer === undefined) return outbox.message(type, bytes, start, end);
    const size = end - start;
    const refusal = outbox.refusal(size, undefined, this.waiting);
    if (refusal !== undefined) return refusal;
    if (this.#copiesAll || size <= BORROW_FROM) {
      const copy = copyOf(bytes, start, end);
      return this.#join(size, () => outbox.message(type, copy, 0, size));
    }
    const lease = leaseOf(bytes);
    lease?.pin();
    const unpin = (): void => lease?.release();
    return this.#join(
      size,
      () => {
        const sent = outbox.message(type, bytes, start, end);
        unpin();
        return sent;
      },
      unpin,
    );
  }

  /**
   * A writer of the next message. One that is open is finished first, once its calls at work are done; with `queue` its
   * owner finishes it.
   */
  nextWriter(type: number, queue: boolean): Promise<MessageWriter> {
    const refused = this.refused();
    if (refused !== undefined) return refused as Promise<never>;
    const open = (): MessageWriter => {
      const writer = new MessageWriter(type, this, this.#host, this.#pool, this.#fragmentSize);
      this.#writer = writer;
      return writer;
    };
    const openInTurn = (): MessageWriter => {
      const writer = open();
      // Somebody behind it does not wait for its owner.
      if (this.#impatient > 0) writer.supersede();
      return writer;
    };
    const before = this.#writer;
    if (before === undefined) return Promise.resolve(open());
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
    before.supersede();
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
    if (!isControl(opcode)) return this.#outbox.fragment(opcode, fin, bytes, start, end);
    return this.#owner.control(opcode, bytes.subarray(start, end));
  }

  complete(type: number, bytes: number): void {
    if (!isControl(type)) this.#outbox.complete(type, bytes);
  }

  leave(writer: MessageWriter): void {
    if (this.#writer !== writer) return;
    this.#writer = undefined;
    while (this.#writer === undefined && this.#line?.empty === false) this.#line.advance();
  }

  broken(reason: unknown): void {
    this.#owner.writerBroken(reason);
  }

  /** Nothing more is accepted: the open writer is cut, and those in line are told. */
  end(error: WebSocketError): void {
    const writer = this.#writer;
    this.#writer = undefined;
    writer?.fail(error);
    this.#line?.refuse(error);
  }

  #join<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    this.#line ??= new Line();
    return this.#line.join(size, start, drop);
  }
}
