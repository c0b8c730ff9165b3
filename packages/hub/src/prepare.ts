import { BinaryMessage, type MessageData, type PreparedMessage, TextMessage } from '@ws/conn';
import { preparedOf } from '@ws/conn/internal';

/**
 * Copies the data once, for all receivers.
 *
 * @throws TypeError for data that cannot be sent, and for a prepared control frame.
 */
export function prepare(data: MessageData | PreparedMessage): PreparedMessage {
  const message = preparedOf(data);
  if (message.type === TextMessage || message.type === BinaryMessage) return message;
  throw new TypeError(
    `expected a text or binary message, got a control frame of type ${message.type}`,
  );
}
