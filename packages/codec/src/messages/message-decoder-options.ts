import type { FAILED, NEED_MORE } from '../frames/decoder-options.ts';
import type { MessageBuffers } from '../memory/message-buffers.ts';
import type { OwnedBytes, SlabSource } from '../memory/slab.ts';
import type { Role } from '../protocol.ts';

/** Options of `MessageDecoder`. */
export interface MessageDecoderOptions {
  /** The end of the connection that decodes. */
  readonly role: Role;
  /** Longest message in bytes, see `MessageDecoder.readLimit`. Default Infinity. */
  readonly readLimit?: number;
  /** Most empty fragments of a message in a row. More fail with 1008. Default 1024. */
  readonly maxEmptyFragments?: number;
  /** Where the payloads of messages are. Default BORROWED. `MessageDecoder.memory` changes it. */
  readonly memory?: PayloadMemory;
  /** Source of the memory for incomplete headers. Default: the thread's shared pool. */
  readonly pool?: SlabSource;
  /** Source of the memory of messages that are joined or LEASED. Default: the thread's shared buffers. */
  readonly buffers?: MessageBuffers;
  /**
   * Whether {@link readLimit} also bounds the payload of a message on the wire. Default false: a
   * message of an extension may then have twice as many bytes there, plus 64 KiB.
   */
  readonly limitsWire?: boolean;
  /**
   * Whether chunks are given to the decoder. Then a message that is whole in its chunk is not moved,
   * also if it is LEASED or OWNED: `bytes[start, end)` is its place in the chunk. Default false.
   */
  readonly ownsChunks?: boolean;
  /** Whether texts are checked (RFC 6455, section 8.1). Default true. */
  readonly checksText?: boolean;
  /** The platform's check of a whole text, as of {@link utf8Step}. */
  readonly isUtf8?: ((bytes: Uint8Array) => boolean) | undefined;
}

/** Counts of the frames, messages and pings that have arrived on a connection. */
export interface MessageCounters {
  framesIn: number;
  messagesIn: number;
  pingsIn: number;
}

/** @internal Makes memory for messages that are {@link OWNED}. */
export interface MessageAllocator {
  /** `following`: bytes that follow the message in its chunk. */
  allocate(size: number, following: number): OwnedBytes;
}

// Events of MessageDecoder.next(), besides NEED_MORE and FAILED.

/** A whole message of `type`: `bytes[start, end)`. See {@link MessageDecoder}. */
export const MESSAGE = 1;
/** A ping, with the payload `bytes[start, end)`. See {@link MessageDecoder}. */
export const PING = 2;
/** A pong, with the payload `bytes[start, end)`. See {@link MessageDecoder}. */
export const PONG = 3;
/** A close frame, with the payload `bytes[start, end)`. See {@link MessageDecoder}. */
export const CLOSE = 4;
/**
 * A message in pieces begins, because `streaming` was set. The event has the first piece, which may
 * be empty: a message of an extension is announced at its header.
 *
 * See {@link MessageDecoder}.
 */
export const MESSAGE_BEGIN = 5;
/** The next piece of the message that MESSAGE_BEGIN announced. See {@link MessageDecoder}. */
export const MESSAGE_DATA = 6;
/** A message with an unwanted payload is complete. See {@link MessageDecoder}. */
export const SKIPPED = 7;
/**
 * Work was done, without an event of the stream. The caller may stop here and continue later.
 *
 * See {@link MessageDecoder}.
 */
export const STEP = 8;

/** The results of {@link MessageDecoder.next}. */
export type MessageEvent =
  | typeof FAILED
  | typeof NEED_MORE
  | typeof MESSAGE
  | typeof PING
  | typeof PONG
  | typeof CLOSE
  | typeof MESSAGE_BEGIN
  | typeof MESSAGE_DATA
  | typeof SKIPPED
  | typeof STEP;

// The places of a message's payload (type PayloadMemory).

/**
 * The payload is valid until the next call. A message that is whole in its chunk stays there, and
 * is unmasked there; others are joined in pooled memory. See {@link MessageDecoder.memory}.
 */
export const BORROWED = 0;
/**
 * The payload is at the start of a lease of pooled memory, which you may take: see
 * {@link MessageDecoder.takeLease}. For a message that waits for an asynchronous write.
 */
export const LEASED = 1;
/**
 * The payload is in new memory of its size, which you own, and `data()` returns that memory. For a
 * program that keeps most messages. See {@link MessageDecoder.memory}.
 */
export const OWNED = 2;
/** The place of a payload, see {@link MessageDecoder.memory}. */
export type PayloadMemory = typeof BORROWED | typeof LEASED | typeof OWNED;

// The uses of a message's payload (type PayloadUse). A decoder only moves down this list.

/** Messages are assembled and delivered. See {@link MessageDecoder.setPayloadUse}. */
export const DELIVERED = 0;
/** Messages are checked, and SKIPPED. See {@link MessageDecoder.setPayloadUse}. */
export const CHECKED_ONLY = 1;
/**
 * Messages are SKIPPED. Their payload is neither checked nor given to an extension.
 *
 * See {@link MessageDecoder.setPayloadUse}.
 */
export const IGNORED = 2;
/** The use of a payload, see {@link MessageDecoder.setPayloadUse}. */
export type PayloadUse = typeof DELIVERED | typeof CHECKED_ONLY | typeof IGNORED;
