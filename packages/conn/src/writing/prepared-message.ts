import {
  BinaryMessage,
  CloseMessage,
  parseCloseMessage,
  type SharedEncoding,
  TextMessage,
} from '@ws/codec';
import { checked, NO_BYTES } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import { encodeFragments } from './fragments.ts';
import { bytesOf, controlPayload, isControlType, type MessageData, utf8 } from './payload.ts';

/**
 * A message for many connections or many sends, which share its bytes and its encoded variants. A client
 * masks a copy with a new key at every send (RFC 6455, section 5.3).
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
  /** @internal A copy of the data. */
  readonly bytes: Uint8Array;
  #variants: Map<SharedEncoding['key'], Uint8Array> | undefined;
  /** The frames of each form for one option `fragmentationThreshold`, `most`. */
  #fragments: { most: number; frames: Map<Uint8Array, readonly Uint8Array[]> } | undefined;

  /**
   * @param type - `TextMessage` or `BinaryMessage`, or a control type.
   * @param data - As for `writeMessage`. The constructor copies the data.
   * @throws TypeError for another type or other data, RangeError for an invalid control payload.
   */
  constructor(type: number, data: MessageData) {
    this.type = type;
    this.bytes = checked(() => {
      const method = 'new PreparedMessage';
      if (isControlType(type)) {
        const payload = copyOf(controlPayload(data, portablePlatform, method));
        if (type === CloseMessage) checkClosePayload(payload);
        return payload;
      }
      if (type !== TextMessage && type !== BinaryMessage) {
        throw new TypeError(`websocket: bad write message type: ${String(type)}`);
      }
      return typeof data === 'string' ? utf8(data) : copyOf(bytesOf(data, method));
    }, PreparedMessage);
  }

  /**
   * @internal The message as `encoding` encodes it, once for each of its keys. Empty bytes: it is sent
   * unencoded.
   */
  variantOf(encoding: SharedEncoding): Uint8Array {
    const { key } = encoding;
    const known = this.#variants?.get(key);
    if (known !== undefined) return known;
    try {
      const variant = encoding.alone(this.bytes) ?? NO_BYTES;
      (this.#variants ??= new Map()).set(key, variant);
      return variant;
    } catch {
      // Out of memory. The next send tries again.
      return NO_BYTES;
    }
  }

  /**
   * @internal The unmasked frames of `payload`, with at most `most` bytes each. Undefined if this object
   * keeps the frames for another `most`: it has those of one only.
   *
   * @param payload - The bytes, or a variant.
   */
  fragmentsOf(b0: number, payload: Uint8Array, most: number): readonly Uint8Array[] | undefined {
    const fragments = (this.#fragments ??= { most, frames: new Map() });
    if (fragments.most !== most) return undefined;
    const known = fragments.frames.get(payload);
    if (known !== undefined) return known;
    const frames = encodeFragments(b0, payload, most, undefined);
    fragments.frames.set(payload, frames);
    return frames;
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
