import type { DataType, MessageDecoder } from '@ws/codec';
import type { Message } from '../message.ts';
import { MessageReader } from '../read/message-reader.ts';
import { PieceQueue, type PieceSource, restDropped } from '../read/piece-queue.ts';
import type { Connection } from './connection.ts';

// Messages in pieces: `nextReader` gets a message before its last byte has arrived.

/** A message begins, with its first piece. Returns its reader. */
export function beginPieces(connection: Connection, decoder: MessageDecoder): MessageReader {
  const reader = newReader(connection, decoder.type);
  add(connection, decoder, 1);
  return reader;
}

export function addPiece(connection: Connection, decoder: MessageDecoder): void {
  add(connection, decoder, 0);
}

function add({ inbox }: Connection, decoder: MessageDecoder, messages: 0 | 1): void {
  const { bytes, start, end, fin } = decoder;
  const { pieces, rate } = inbox;
  const size = end - start;
  if (pieces !== undefined && rate?.holdsPieces() === true) pieces.held = true;
  pieces?.pushCopy(bytes, start, end);
  if (fin) pieces?.finish();
  decoder.release();
  rate?.take(messages, size);
  rate?.pieceArrived(size);
}

export function readerOf(connection: Connection, { type, data }: Message): MessageReader {
  const reader = newReader(connection, type);
  const pieces = connection.inbox.pieces!;
  pieces.push(data);
  pieces.finish();
  return reader;
}

/** Returns a reader of the first queued message, or of the message under way. */
export function readyReader(connection: Connection): MessageReader | undefined {
  const { inbox, machine } = connection;
  const message = inbox.shiftQueued();
  if (message !== undefined) return readerOf(connection, message);
  // Messages that wait for the rate come before the one under way.
  const isDue = inbox.ended === undefined && !inbox.held;
  const begun = isDue ? machine.input?.becomePieces() : undefined;
  if (begun === undefined) return undefined;
  const reader = newReader(connection, machine.input!.type);
  inbox.pieces!.push(begun);
  inbox.rate?.take(1, begun.length);
  inbox.rate?.pieceArrived(begun.length);
  return reader;
}

function newReader(connection: Connection, type: DataType): MessageReader {
  const pieces = new PieceQueue();
  connection.inbox.pieces = pieces;
  return new MessageReader(type, pieces, new SourceOf(connection), connection.platform);
}

class SourceOf implements PieceSource {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  checkExpiry(): void {
    this.#connection.rare?.checkExpiry();
  }

  more(pieces: PieceQueue): void {
    const { inbox } = this.#connection;
    if (pieces !== inbox.pieces) return pieces.finish(restDropped('a later read began'));
    if (inbox.ended !== undefined) return pieces.finish(inbox.ended);
    pieces.demanding = true;
    inbox.run('reader');
  }

  taken(pieces: PieceQueue): void {
    const { inbox } = this.#connection;
    if (pieces === inbox.pieces) inbox.run('reader');
  }

  dropRest(pieces: PieceQueue, cause: string): void {
    const { inbox } = this.#connection;
    if (pieces !== inbox.pieces) return;
    inbox.dropPieces(cause);
    inbox.run('reader');
  }

  reportMistake(error: unknown): void {
    this.#connection.reportMistake(error, 'read');
  }
}
