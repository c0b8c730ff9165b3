import { BinaryMessage, type MessageData, type PreparedMessage, TextMessage } from '@ws/conn';
import { formatJSON, preparedOf } from '@ws/conn/internal';

/**
 * Copies the data once, for all receivers.
 *
 * @param method - The method that got `data`, for the error.
 * @throws TypeError for data that cannot be sent, and for a prepared control frame.
 */
export function prepare(data: MessageData | PreparedMessage, method: string): PreparedMessage {
  const message = preparedOf(data, method);
  if (message.type === TextMessage || message.type === BinaryMessage) return message;
  throw new TypeError(
    `${method}: expected a text or binary message, got a control frame of type ${message.type}`,
  );
}

/** @throws TypeError for a value that cannot be written as JSON. */
export function jsonOf(value: unknown): string {
  try {
    return formatJSON(value);
  } catch (cause) {
    throw new TypeError((cause as Error).message, { cause });
  }
}
