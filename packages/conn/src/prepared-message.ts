import {
  BinaryMessage,
  CloseMessage,
  PingMessage,
  PongMessage,
  parseCloseMessage,
  TextMessage,
} from '@ws/codec';
import { copyOf } from './copy.ts';
import { bytesOf, isBorrowed, type MessageData } from './data.ts';
import { CompressedForms } from './deflate/compressed-forms.ts';
import type { Deflation } from './deflate/deflation.ts';
import { utf8 } from './text.ts';

/**
 * A message that is sent to many connections, or many times: its bytes are made once and shared. A client masks them
 * afresh at every send (RFC 6455, section 5.3).
 */
export class PreparedMessage {
  /** The type it is sent as. */
  readonly type: number;
  /** @internal A snapshot: later changes to what it was made of are not seen. */
  readonly bytes: Uint8Array;
  #forms: CompressedForms | undefined;

  /**
   * @param type - `TextMessage` or `BinaryMessage`, or a control type.
   * @param data - As for `writeMessage`; copied.
   * @throws TypeError for a wrong type or data, RangeError for a control message that cannot be sent.
   */
  constructor(type: number, data: MessageData) {
    const isControl = type === CloseMessage || type === PingMessage || type === PongMessage;
    if (type !== TextMessage && type !== BinaryMessage && !isControl) {
      throw new TypeError(`websocket: bad write message type: ${String(type)}`);
    }
    this.type = type;
    if (typeof data === 'string') this.bytes = utf8(data);
    else this.bytes = copyOf(isBorrowed(data) ? data.data : bytesOf(data));
    if (isControl && this.bytes.length > 125) {
      throw new RangeError(
        `websocket: invalid control frame: ${this.bytes.length} bytes of payload, 125 are allowed`,
      );
    }
    if (type === CloseMessage) checkClosePayload(this.bytes);
  }

  /**
   * @internal The message as `deflation` would compress it, without context; empty when that is not smaller. Undefined:
   * it is large, {@link formLater} makes it.
   */
  form(deflation: Deflation): Uint8Array | undefined {
    this.#forms ??= new CompressedForms(this.bytes);
    return this.#forms.get(deflation);
  }

  /** @internal Calls `done` with {@link form} when it is made; never after the function it returns was called. */
  formLater(deflation: Deflation, done: (form: Uint8Array | undefined) => void): () => void {
    this.#forms ??= new CompressedForms(this.bytes);
    return this.#forms.later(deflation, done);
  }
}

/** @throws RangeError when `payload` is not what a close frame may carry. */
export function checkClosePayload(payload: Uint8Array): void {
  try {
    parseCloseMessage(payload);
  } catch (error) {
    throw new RangeError('websocket: not the payload of a close frame; use formatCloseMessage', {
      cause: error,
    });
  }
}
