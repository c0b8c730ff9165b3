import type { Role } from '../frames/opcode.ts';
import type { OwnedBytes } from '../memory/owned-bytes.ts';
import type { SlabSource } from '../memory/slab.ts';

/** Options of `MessageDecoder`. */
export interface MessageDecoderOptions {
  /** The end of the connection that decodes. */
  readonly role: Role;
  /** Longest message in bytes, see `MessageDecoder.readLimit`. Default Infinity. */
  readonly readLimit?: number;
  /** Most empty fragments in a row. More fail with 1008. Default 1024. */
  readonly maxEmptyFragments?: number;
  /** Source of the memory for incomplete headers. Default: the thread's shared pool. */
  readonly pool?: SlabSource;
  /**
   * Whether {@link readLimit} also bounds the payload of a message on the wire. Default false: a
   * message of an extension may then have twice as many bytes there, plus 64 KiB.
   */
  readonly limitsWire?: boolean;
  /**
   * Whether chunks are given to the decoder. Then a message that is whole in its chunk is not moved:
   * `bytes[start, end)` is its place in the chunk. Default false.
   */
  readonly ownsChunks?: boolean;
  /** Whether texts are checked (RFC 6455, section 8.1). Default true. */
  readonly checksText?: boolean;
  /** The platform's check of a whole text, as of {@link utf8Step}. */
  readonly isUtf8?: ((bytes: Uint8Array) => boolean) | undefined;
}

/** What has arrived on a connection. */
export interface MessageCounters {
  framesIn: number;
  messagesIn: number;
  pingsIn: number;
}

/** @internal Makes memory for messages that the caller keeps. */
export interface MessageAllocator {
  /** `following`: bytes that follow the message in its chunk. */
  allocate(size: number, following: number): OwnedBytes;
}
