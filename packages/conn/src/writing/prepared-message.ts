import {
  BinaryMessage,
  CloseMessage,
  PingMessage,
  PongMessage,
  parseCloseMessage,
  type SharedEncoding,
  TextMessage,
} from '@ws/codec';
import { checked, MAX_CONTROL_PAYLOAD } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';
import { EncodedVariants } from './encoded-variants.ts';
import { bytesOf, type MessageData, utf8 } from './payload.ts';

/**
 * A message for many connections or many sends. Its bytes and its encoded variants are created
 * once and shared. A client masks a copy with a new key at every send (RFC 6455, section 5.3).
 *
 * @example
 * ```ts
 * import { connPair, PreparedMessage, TextMessage } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * const price = new PreparedMessage(TextMessage, '{"price":3}');
 * await server.writePreparedMessage(price);
 * await server.writePreparedMessage(price);
 * console.log((await client.readMessage()).text()); // {"price":3}
 * ```
 */
export class PreparedMessage {
  /** The message type: `TextMessage`, `BinaryMessage` or a control type. */
  readonly type: number;
  /** @internal A copy of the data. Later changes to the data do not affect it. */
  readonly bytes: Uint8Array;
  #variants: EncodedVariants | undefined;

  /**
   * @param type - `TextMessage` or `BinaryMessage`, or a control type.
   * @param data - As for `writeMessage`. The constructor copies the data.
   * @throws TypeError for another type or other data, RangeError for an invalid control payload.
   */
  constructor(type: number, data: MessageData) {
    const isControl = type === CloseMessage || type === PingMessage || type === PongMessage;
    this.type = type;
    this.bytes = checked(() => {
      if (type !== TextMessage && type !== BinaryMessage && !isControl) {
        throw new TypeError(`websocket: bad write message type: ${String(type)}`);
      }
      const bytes =
        typeof data === 'string' ? utf8(data) : copyOf(bytesOf(data, 'new PreparedMessage'));
      if (isControl && bytes.length > MAX_CONTROL_PAYLOAD) {
        throw new RangeError(
          `websocket: invalid control frame: ${bytes.length} bytes of payload, at most ${MAX_CONTROL_PAYLOAD} are allowed`,
        );
      }
      if (type === CloseMessage) checkClosePayload(bytes);
      return bytes;
    }, PreparedMessage);
  }

  /**
   * @internal Returns the message as `encoding` makes it, without context. Empty when the message
   *   is left as it is. Undefined for a large message, which {@link variantLater} encodes.
   */
  variant(encoding: SharedEncoding): Uint8Array | undefined {
    this.#variants ??= new EncodedVariants(this.bytes);
    return this.#variants.get(encoding);
  }

  /**
   * @internal Calls `done` with {@link variant} when the variant is ready. The returned function
   *   cancels the call.
   */
  variantLater(
    encoding: SharedEncoding,
    done: (variant: Uint8Array | undefined) => void,
  ): () => void {
    this.#variants ??= new EncodedVariants(this.bytes);
    return this.#variants.later(encoding, done);
  }
}

/** @throws RangeError when `payload` is not a valid close payload (RFC 6455, section 5.5.1). */
export function checkClosePayload(payload: Uint8Array): void {
  try {
    parseCloseMessage(payload);
  } catch (error) {
    throw new RangeError('websocket: invalid payload of a close frame; use formatCloseMessage', {
      cause: error,
    });
  }
}
