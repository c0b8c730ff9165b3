import {
  CHECKED_ONLY,
  type DataType,
  DELIVERED,
  IGNORED,
  type MessageDecoder,
  type PayloadUse,
} from '@ws/codec';
import { isNormalEnd, ReadPendingError } from '../errors.ts';
import type { Message } from '../message.ts';
import { MessageReader } from '../read/message-reader.ts';
import { PieceQueue, restDropped } from '../read/piece-queue.ts';
import type { PullRead } from '../read/pull-read.ts';
import type { Rate } from '../read/rate.ts';
import type { ReceiveCall } from '../read/receive-call.ts';
import type { Connection } from './connection.ts';
import { endWithLoss } from './end-errors.ts';
import { ReadAhead } from './read-ahead.ts';
import {
  CANCEL,
  CHECKED,
  DISCARDS,
  DONE,
  GIVEN,
  KEPT,
  LOST,
  type Reader,
  type ReaderEvent,
  UNWANTED,
  type Use,
  WAITS,
  WILL_READ,
} from './reader.ts';

/** The result of a pull read. */
export type ReadResult = Message | MessageReader;

/** Why reading has ended. `normally`: `receive` resolves and iterations are done. */
type ReadEnd = { readonly reason: unknown; readonly normally: boolean };

/**
 * The one reader of a connection: its state, what it waits for, and what waits for it. The reader is the
 * handler of `receive`, `discardReads`, a {@link PullRead}, or a MessageReader, which reads a message in
 * pieces. {@link Inbox} adds the loop that parses.
 */
export abstract class ReadSide {
  receiveCall: ReceiveCall | undefined;
  /** The pending call of `readMessage`, of `nextReader`, or of an iterator's `next`. */
  pull: PullRead<ReadResult> | undefined;
  /** The message that a MessageReader reads. */
  pieces: PieceQueue | undefined;
  /** The messages that were parsed while no reader waited, and the pause of the transport. */
  readAhead: ReadAhead | undefined;
  /** Bounds how fast readers get messages. Few connections have a rate. */
  rate: Rate | undefined;
  /** Set once no further message can arrive. Queued messages can still be read. */
  ended: ReadEnd | undefined;
  /** The state of the reader. */
  abstract readonly reader: Reader;
  /**
   * Whether readers get nothing for now, so that input goes to the read-ahead: the rate has no token,
   * or the read-ahead has given so many messages that the rest waits for a later turn.
   */
  abstract readonly held: boolean;
  /** What happens to the messages of the input. */
  use: Use = KEPT;
  /**
   * Number of owners that may begin a read: open loops and streams, and the code that has created the
   * connection, until the handler of the connection has settled.
   */
  readers = 1;
  protected readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Changes the state of the reader. */
  abstract on(event: ReaderEvent): void;
  /** The rate or the read-ahead may now hold readers back, or let them continue. */
  abstract gate(): void;

  /** A MessageReader that waits has got bytes, or the end of its message. */
  gotPiece(): void {
    if (this.reader === WAITS && this.pull === undefined) this.on(GIVEN);
  }

  /** A stream is created, which begins to read later. Until then, a close must not drop messages. */
  streamCreated(): void {
    this.readers++;
    this.on(WILL_READ);
  }

  /** A loop or a stream has ended, or the handler of the connection has settled. */
  readerLeft(): void {
    // The reader of a message in pieces may still answer it.
    if (--this.readers > 0 || this.pieces !== undefined) return;
    this.on(DONE);
    // A close frame that has arrived may now be answered.
    if (this.connection.ending !== undefined) this.connection.scheduleEndOfTurn();
  }

  /** Whether no parsed message or piece waits for a reader. */
  get nothingUnread(): boolean {
    return this.readAhead?.empty !== false && this.pieces?.empty !== false;
  }

  /** How the decoder treats messages: see {@link MessageDecoder.setPayloadUse}. */
  get payloadUse(): PayloadUse {
    if (this.use === KEPT) return DELIVERED;
    return this.use === CHECKED ? CHECKED_ONLY : IGNORED;
  }

  /** The error for a read by the method `name`, if another read is pending, or a stream reads. */
  clash(name: string): ReadPendingError | undefined {
    const owner = this.connection.control?.reads?.owner;
    if (owner !== undefined) {
      const message = `${name} after ${owner}, whose stream reads this connection; read the stream`;
      return new ReadPendingError(name, owner, message);
    }
    const pending = this.receiveCall?.name ?? this.pull?.name ?? this.pieces?.pending ?? '';
    return pending === '' ? undefined : new ReadPendingError(name, pending);
  }

  /** Whether the inbox drops all messages from now on, unchecked. */
  get drops(): boolean {
    return this.use >= LOST;
  }

  // Messages that get no reader

  /** @param lost - Whether a reader may have wanted the messages, so that its read rejects at the end. */
  countDropped(messages: number, lost: boolean = this.use === LOST): void {
    if (messages > 0) this.connection.controlOrNew().readsOrNew().countDropped(messages, lost);
  }

  /** For `discardReads`: drops the queued messages, and checks and drops all later ones. */
  checkOnly(): void {
    if (!this.drops) this.#setUse(CHECKED);
    this.#dropUnread();
  }

  /** Drops the queued messages and all later messages. */
  dropAll(): void {
    this.countDropped(this.readAhead?.length ?? 0, false);
    this.#dropUnread();
    this.#setUse(UNWANTED);
  }

  /**
   * Drops all later messages. Queued messages can still be read. The reader of an incomplete message
   * gets the pieces that have arrived, then the error of the end. If this drops a wanted message,
   * reading does not end normally.
   */
  dropLater(): void {
    if (!this.drops) this.#setUse(this.reader === DISCARDS ? UNWANTED : LOST);
  }

  /** Reading ends: the rate no longer applies. Drops the messages that wait for a token. */
  stopRate(): void {
    if (this.rate?.stop() !== true) return;
    const count = this.readAhead?.length ?? 0;
    this.pieces?.unhold();
    this.readAhead?.clear();
    this.gate();
    this.countDropped(count, this.reader !== DISCARDS);
    this.dropLater();
  }

  /** If reading has ended, the reader of unread pieces rejects with the reason. */
  #dropUnread(): void {
    this.readAhead?.clear();
    this.gate();
    this.pieces?.drop();
    if (this.ended === undefined) return;
    this.pieces?.finish(this.ended);
    this.gotPiece();
  }

  /** Sets what happens to messages, also to those that have partly arrived. */
  #setUse(use: Use): void {
    // The rate counts the messages that `discardReads` drops, so they stay KEPT.
    if (use === CHECKED && this.rate !== undefined) return;
    const { extension, machine } = this.connection;
    this.use = use;
    const { messagesIn } = machine;
    try {
      machine.input?.setPayloadUse(this.payloadUse);
      // The decoder may drop a message that has arrived, before the extension has decoded it.
      this.countDropped(machine.messagesIn - messagesIn);
      if (this.drops) extension?.destroy();
    } catch (error) {
      this.connection.report(error, 'extension');
    }
  }

  // Messages

  readAheadOrNew(): ReadAhead {
    this.readAhead ??= new ReadAhead(this.connection);
    return this.readAhead;
  }

  /** Gives the pending pull read its message. */
  give(result: ReadResult): void {
    const { pull } = this;
    this.pull = undefined;
    this.on(GIVEN);
    pull!.give(result);
  }

  /** Takes the first queued message for a reader, unless {@link held}. */
  shiftQueued(): Message | undefined {
    const { readAhead } = this;
    if (readAhead === undefined || this.held) return undefined;
    const message = readAhead.shift();
    if (message === undefined) return undefined;
    this.rate?.takeQueued(message.data.length);
    if (readAhead.isHeld) this.gate();
    return message;
  }

  /** Gives queued messages to the reader that waits. */
  serve(): void {
    const { pull, receiveCall } = this;
    if (pull !== undefined) {
      const ready = pull.streams ? this.#readyReader() : this.shiftQueued();
      if (ready !== undefined) this.give(ready);
    } else if (this.reader === DISCARDS) while (this.shiftQueued() !== undefined);
    else receiveCall?.serve();
  }

  // A message in pieces

  #newReader(type: DataType): MessageReader {
    const pieces = new PieceQueue();
    this.pieces = pieces;
    return new MessageReader(type, pieces, this.connection);
  }

  /** Returns the reader of a message whose first piece is in the decoder. */
  beginPieces(decoder: MessageDecoder): MessageReader {
    const reader = this.#newReader(decoder.type);
    this.addPiece(decoder, 1);
    return reader;
  }

  /**
   * Gives the piece in the decoder to the reader of its message.
   *
   * @param messages - 1 for the first piece of a message, else 0.
   */
  addPiece(decoder: MessageDecoder, messages: 0 | 1): void {
    const { bytes, start, end, fin } = decoder;
    const { pieces, rate } = this;
    const size = end - start;
    if (pieces !== undefined && rate?.holdsPieces() === true) pieces.held = true;
    pieces?.pushCopy(bytes, start, end);
    if (fin) pieces?.finish();
    if (pieces?.hasEnough === true) this.gotPiece();
    decoder.release();
    rate?.take(messages, size);
    rate?.pieceArrived(size);
  }

  /** Returns a reader of a whole message. */
  readerOf({ type, data }: Message): MessageReader {
    const reader = this.#newReader(type);
    this.pieces!.push(data);
    this.pieces!.finish();
    return reader;
  }

  /** Returns a reader of the first queued message; if there is none, of the message that is arriving. */
  #readyReader(): MessageReader | undefined {
    const message = this.shiftQueued();
    if (message !== undefined) return this.readerOf(message);
    // Messages that the rate holds come before the arriving message.
    const { input } = this.connection.machine;
    const begun = this.ended === undefined && !this.held ? input?.becomePieces() : undefined;
    if (begun === undefined) return undefined;
    const reader = this.#newReader(input!.type);
    this.pieces!.push(begun);
    this.rate?.take(1, begun.length);
    this.rate?.pieceArrived(begun.length);
    return reader;
  }

  /**
   * Drops the unread rest of the message that a MessageReader reads. Later calls of that reader reject,
   * unless it has read the whole message.
   *
   * @param cause - A clause for the error, such as `readMessage began`.
   */
  dropPieces(cause: string): void {
    const { pieces } = this;
    if (pieces === undefined) return;
    this.pieces = undefined;
    const isComplete = pieces.over;
    pieces.drop();
    pieces.finish(restDropped(cause));
    if (!isComplete) this.connection.machine.input?.skip();
    this.gotPiece();
  }

  /** Called when no more input will arrive. The reader of an incomplete message rejects. */
  finishMessage(failure: { readonly reason: unknown }): void {
    if (this.pieces?.over !== false) return;
    this.pieces.finish(failure);
    this.gotPiece();
  }

  // The end of reading

  /**
   * Ends reading. Pending reads reject with `cause`, or with the loss of a message. Queued messages can
   * still be read.
   *
   * @param isEnd - Whether `cause` is the end of this connection. An error that a handler has thrown may
   *   be the normal end of another connection.
   */
  finishReading(cause: unknown, isEnd: boolean): void {
    if (this.ended !== undefined) return;
    const connection = this.connection;
    this.stopRate();
    const loss = connection.control?.reads?.loss;
    const isPeerEnd = isEnd && connection.machine.failed?.error !== cause;
    const reason = isPeerEnd && loss !== undefined ? endWithLoss(cause, loss) : cause;
    const normally = isPeerEnd && isNormalEnd(reason);
    this.ended = { reason, normally };
    const { pull } = this;
    this.pull = undefined;
    if (pull !== undefined) {
      this.on(CANCEL);
      // After a normal end, an iteration is done and throws no error.
      if (normally && pull.iterator !== undefined) pull.leave();
      else pull.reject(reason);
    }
    if (this.pieces !== undefined) {
      this.pieces.finish(this.ended);
      this.gotPiece();
    }
    this.receiveCall?.settleAtEnd();
  }
}
