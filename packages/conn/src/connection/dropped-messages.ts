import { CHECKED_ONLY, type Extension, IGNORED, type PayloadUse } from '@ws/codec';
import type { Machine } from '@ws/codec/internal';
import type { MessageQueue } from '../read/message-queue.ts';
import type { PieceQueue } from '../read/piece-queue.ts';

// Drops messages without a reader: queued messages, and later ones.

/** The parts of a connection that dropping needs. */
export type Dropping = {
  readonly machine: Pick<Machine, 'input' | 'messagesIn'>;
  readonly extension: Extension | undefined;
  readonly rare: { loses: boolean } | undefined;
  readonly inbox: {
    payloadUse: PayloadUse;
    queue: MessageQueue | undefined;
    readonly drops: boolean;
    readonly ended: { readonly reason: unknown } | undefined;
    readonly pieces: PieceQueue | undefined;
    readonly rate: object | undefined;
    readonly receiveCall: { readonly discards: boolean } | undefined;
  };
  rareParts(): { loses: boolean; countDropped(messages: number, lost: boolean): void };
  report(error: unknown, where: string): void;
};

/** @param lost - Whether a reader may have wanted the messages, so that its read rejects at the end. */
export function countDropped(
  connection: Dropping,
  messages: number,
  lost: boolean = connection.rare?.loses === true,
): void {
  if (messages > 0) connection.rareParts().countDropped(messages, lost);
}

/** For `discardReads`: drops the queued messages, and checks and drops all later ones. */
export function checkOnly(connection: Dropping): void {
  if (!connection.inbox.drops) setPayloadUse(connection, CHECKED_ONLY);
  dropUnread(connection);
}

/** Drops the queued messages and all later messages. */
export function dropAll(connection: Dropping): void {
  const { inbox, rare } = connection;
  countDropped(connection, inbox.queue?.length ?? 0, false);
  if (rare !== undefined) rare.loses = false;
  dropUnread(connection);
  setPayloadUse(connection, IGNORED);
}

/**
 * Drops all later messages. Queued messages can still be read. The reader of an incomplete message
 * gets the pieces that have arrived, then the error of the end. If this drops a wanted message,
 * reading does not end normally.
 */
export function dropLaterMessages(connection: Dropping): void {
  const { inbox } = connection;
  const loses = !inbox.drops && inbox.receiveCall?.discards !== true;
  if (loses) connection.rareParts().loses = true;
  setPayloadUse(connection, IGNORED);
}

/**
 * Drops the queued messages and the unread pieces. If reading has ended, the reader of the pieces
 * rejects with the reason.
 */
function dropUnread({ inbox }: Dropping): void {
  inbox.queue = undefined;
  inbox.pieces?.drop();
  if (inbox.ended !== undefined) inbox.pieces?.finish(inbox.ended);
}

/** Sets how the decoder uses payloads, also those of messages that have partly arrived. */
function setPayloadUse(connection: Dropping, use: PayloadUse): void {
  const { extension, inbox, machine } = connection;
  // The rate counts the messages that `discardReads` drops, so they stay DELIVERED.
  if (use === CHECKED_ONLY && inbox.rate !== undefined) return;
  inbox.payloadUse = use;
  const { messagesIn } = machine;
  try {
    machine.input?.setPayloadUse(use);
    // The decoder may drop a message that has arrived, before the extension has decoded it.
    countDropped(connection, machine.messagesIn - messagesIn);
    if (use === IGNORED) extension?.destroy();
  } catch (error) {
    connection.report(error, 'extension');
  }
}
