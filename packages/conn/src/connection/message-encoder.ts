import { ContinuationFrame, type Extension, type SharedEncoding } from '@ws/codec';
import { encoded, Lease, NO_BYTES, utf8Length } from '@ws/codec/internal';
import { sendHeldPing } from '../control/heartbeat.ts';
import { COPY_BELOW } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import { FIN } from '../writing/shared-frames.ts';
import type { Connection } from './connection.ts';
import type { Outbound } from './outbound.ts';
import type { WaitingMessage } from './waiting-write.ts';

const OPCODE = 0x0f;

/** Encodes the messages of a connection by its extension, and sends them. */
export class MessageEncoder {
  /** Whether the extension encodes the message of the open writer. */
  streams = false;
  /** The close frame is about to be sent: messages are no longer encoded. */
  flushing = false;
  readonly #connection: Connection;
  readonly #outbound: Outbound;
  readonly #extension: Extension;
  /** {@link Connection.bytesOut} after the last frame of an encoded message of several frames. */
  #encodedEnd = 0;

  constructor(connection: Connection, outbound: Outbound, extension: Extension) {
    this.#connection = connection;
    this.#outbound = outbound;
    this.#extension = extension;
  }

  /** Whether frames of an encoded message of several frames are unsent. */
  get isUnsent(): boolean {
    return this.#encodedEnd > this.#connection.bytesOut - this.#outbound.bytes;
  }

  /**
   * Whether the extension changes a message.
   *
   * @param size - In bytes; Infinity for a message in fragments.
   * @param compress - The option of the caller.
   */
  wants(size: number, compress: boolean | undefined): boolean {
    return this.#extension.wants(size, this.flushing ? false : compress);
  }

  wantsText(text: string, compress: boolean | undefined): boolean {
    // A UTF-16 unit has three bytes at most.
    if (!this.wants(text.length * 3, compress)) return false;
    return this.wants(utf8Length(text), compress);
  }

  /** Whether another thread encodes a message of `size` bytes. A close frame waits for none. */
  isLarge(size: number): boolean {
    return !this.flushing && this.#extension.shared?.isLarge(size) === true;
  }

  /** Whether {@link shortText} encodes a text. */
  isShort(text: string): boolean {
    const most = text.length * 3;
    return most < COPY_BELOW && !this.isLarge(most);
  }

  /** The encoding of a message that {@link isLarge}. */
  get shared(): SharedEncoding {
    return this.#extension.shared!;
  }

  /** Sends a text that {@link isShort} and that the extension {@link wantsText wants}. */
  shortText(type: DataType, text: string): Promise<void> {
    const { bytes, release } = Lease.acquire(text.length * 3);
    try {
      const size = this.#connection.shared.platform.writeUtf8(bytes, 0, text);
      return this.message(type, bytes, 0, size);
    } finally {
      release();
    }
  }

  /** Sends `bytes[start, end)`, a message that the extension {@link wants}. */
  message(type: DataType, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const extension = this.#extension;
    const outbound = this.#outbound;
    let sent = false;
    try {
      const size = encoded(extension.encode(bytes, start, end, true, true), extension, true);
      if (size < 0) {
        sent = true;
        return outbound.callerFrame(FIN | type, bytes, start, end, undefined);
      }
      const { output, sentRsv = extension.rsv } = extension;
      outbound.countEncoded(end - start);
      const accepted = outbound.copiedFrame(FIN | sentRsv | type, output, 0, size);
      sent = true;
      return accepted;
    } finally {
      extension.endOutput(sent);
    }
  }

  /**
   * Sends a prepared message that the extension {@link wants}.
   *
   * @returns Undefined when another thread must encode it first.
   */
  prepared(message: PreparedMessage): Promise<void> | undefined {
    const { bytes } = message;
    const { length } = bytes;
    const outbound = this.#outbound;
    const { shared, rsv } = this.#extension;
    if (shared === undefined) return this.message(message.type as DataType, bytes, 0, length);
    const variant = variantOf(message, shared);
    if (variant === undefined && !this.flushing) return undefined;
    if (variant === undefined || variant.length === 0) {
      return this.wants(length, false)
        ? this.message(message.type as DataType, bytes, 0, length)
        : outbound.sharedFrame(FIN | message.type, bytes);
    }
    shared.recordSent(bytes, 0, length);
    try {
      outbound.countEncoded(length);
      return outbound.sharedFrame(FIN | rsv | message.type, variant);
    } catch (error) {
      shared.forget();
      throw error;
    }
  }

  /** Sends a message that another thread has encoded to `variant`. */
  variant({ type, bytes, start, end }: WaitingMessage, variant: Uint8Array): Promise<void> {
    const outbound = this.#outbound;
    this.shared.recordSent(bytes, start, end);
    outbound.countEncoded(end - start);
    return outbound.ownedFrame(FIN | this.#extension.rsv | type, variant, 0, variant.length);
  }

  /**
   * Sends a fragment of a message.
   *
   * @param compress - The option of the writer.
   */
  fragment(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): Promise<void> {
    // Only the size of the first fragment is known.
    if ((b0 & OPCODE) !== ContinuationFrame) {
      this.streams = this.wants(b0 >= FIN ? end - start : Infinity, compress);
    }
    if (!this.streams) return this.#outbound.copiedFrame(b0, bytes, start, end);
    try {
      return this.#encodeFragment(b0, bytes, start, end);
    } catch (error) {
      this.finishStream(false);
      throw error;
    }
  }

  #encodeFragment(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const outbound = this.#outbound;
    const extension = this.#extension;
    const first = (b0 & OPCODE) !== ContinuationFrame;
    const fin = b0 >= FIN;
    const size = encoded(extension.encode(bytes, start, end, first, fin), extension, first);
    if (size < 0) {
      this.finishStream(true);
      return outbound.copiedFrame(b0, bytes, start, end);
    }
    const { output, sentRsv = extension.rsv } = extension;
    outbound.countEncoded(end - start);
    const sent = outbound.copiedFrame(first ? b0 | sentRsv : b0, output, 0, size);
    this.#encodedEnd = this.#connection.bytesOut;
    if (fin) this.finishStream(true);
    return sent;
  }

  /** The open writer is done. A ping of the heartbeat that has waited for it is sent. */
  writerDone(): void {
    this.finishStream(false);
    const { platform, rare } = this.#connection;
    if (rare?.pingWait === undefined) return;
    sendHeldPing(this.#connection, platform.now());
  }

  /** @param sent - Whether the message is sent to its end, or was left as it is. */
  finishStream(sent: boolean): void {
    if (!this.streams) return;
    this.streams = false;
    try {
      this.#extension.endOutput(sent);
    } catch (error) {
      // The connection may be about to end.
      this.#connection.report(error, 'extension');
    }
  }
}

/** Returns {@link PreparedMessage.variant}. The variant is also empty when there is no memory for it. */
function variantOf(message: PreparedMessage, encoding: SharedEncoding): Uint8Array | undefined {
  try {
    return message.variant(encoding);
  } catch {
    return NO_BYTES;
  }
}
