import type { Extension, PayloadUse } from '@ws/codec';
import type { Machine } from '@ws/codec/internal';
import type { PieceQueue } from '../read/piece-queue.ts';
import { CHECKED, DISCARDS, LOST, type Reader, UNWANTED, type Use } from './reader.ts';

// Drops messages without a reader: queued messages, and later ones.

/** The parts of a connection that dropping needs. */
export type Dropping = {
  readonly machine: Pick<Machine, 'input' | 'messagesIn'>;
  readonly extension: Extension | undefined;
  readonly inbox: {
    use: Use;
    readonly readAhead: { readonly length: number; clear(): void } | undefined;
    readonly reader: Reader;
    readonly payloadUse: PayloadUse;
    readonly drops: boolean;
    readonly ended: { readonly reason: unknown } | undefined;
    readonly pieces: PieceQueue | undefined;
    readonly rate: object | undefined;
    gate(): void;
    gotPiece(): void;
  };
  rareParts(): { countDropped(messages: number, lost: boolean): void };
  report(error: unknown, where: string): void;
};

/** @param lost - Whether a reader may have wanted the messages, so that its read rejects at the end. */
export function countDropped(
  connection: Dropping,
  messages: number,
  lost: boolean = connection.inbox.use === LOST,
): void {
  if (messages > 0) connection.rareParts().countDropped(messages, lost);
}

/** For `discardReads`: drops the queued messages, and checks and drops all later ones. */
export function checkOnly(connection: Dropping): void {
  if (!connection.inbox.drops) setUse(connection, CHECKED);
  dropUnread(connection);
}

/** Drops the queued messages and all later messages. */
export function dropAll(connection: Dropping): void {
  countDropped(connection, connection.inbox.readAhead?.length ?? 0, false);
  dropUnread(connection);
  setUse(connection, UNWANTED);
}

/**
 * Drops all later messages. Queued messages can still be read. The reader of an incomplete message
 * gets the pieces that have arrived, then the error of the end. If this drops a wanted message,
 * reading does not end normally.
 */
export function dropLaterMessages(connection: Dropping): void {
  const { drops, reader } = connection.inbox;
  if (!drops) setUse(connection, reader === DISCARDS ? UNWANTED : LOST);
}

/**
 * Drops the queued messages and the unread pieces. If reading has ended, the reader of the pieces
 * rejects with the reason.
 */
function dropUnread({ inbox }: Dropping): void {
  inbox.readAhead?.clear();
  inbox.gate();
  inbox.pieces?.drop();
  if (inbox.ended === undefined) return;
  inbox.pieces?.finish(inbox.ended);
  inbox.gotPiece();
}

/** Sets what happens to messages, also to those that have partly arrived. */
function setUse(connection: Dropping, use: Use): void {
  const { extension, inbox, machine } = connection;
  // The rate counts the messages that `discardReads` drops, so they stay KEPT.
  if (use === CHECKED && inbox.rate !== undefined) return;
  inbox.use = use;
  const { messagesIn } = machine;
  try {
    machine.input?.setPayloadUse(inbox.payloadUse);
    // The decoder may drop a message that has arrived, before the extension has decoded it.
    countDropped(connection, machine.messagesIn - messagesIn);
    if (inbox.drops) extension?.destroy();
  } catch (error) {
    connection.report(error, 'extension');
  }
}
