import type { EndReasons } from '../connection/end-reasons.ts';
import type { Reading } from '../connection/read-ahead.ts';
import type { Reader, ReaderEvent } from '../connection/reader.ts';
import type { ReadPendingError } from '../errors.ts';
import type { Message } from '../message.ts';
import type { CloseInfo } from '../platform/observer.ts';
import type { PieceQueue } from './piece-queue.ts';

/** The part of a connection that a MessageReader and a ReceiveCall use. */
export type Source = Reading & {
  readonly inbox: Reads;
  readonly control: { checkExpiry(): void } | undefined;
  readonly ending: { readonly reasons: EndReasons } | undefined;
  /** The promise of `closed`. */
  closedPromise(): Promise<CloseInfo>;
  handlerFailed(error: unknown, where: string): void;
  rejected(error: unknown, where: string): Promise<never>;
  reportMistake(error: unknown, where: string): void;
};

/** The part of an Inbox that they use. */
type Reads = {
  readonly reader: Reader;
  readonly ended: { readonly reason: unknown; readonly normally: boolean } | undefined;
  readonly nothingUnread: boolean;
  /** The pieces of the message that is read. */
  readonly pieces: PieceQueue | undefined;
  /** The pending ReceiveCall. */
  receiveCall: object | undefined;
  on(event: ReaderEvent): void;
  clash(name: string): ReadPendingError | undefined;
  run(upTo: 'reader'): void;
  shiftQueued(): Message | undefined;
  checkOnly(): void;
  gotPiece(): void;
  dropPieces(cause: string): void;
};
