import { JSONError, type Message } from '@ws/conn';
import { kind, printable } from '@ws/conn/internal';

/** @throws JSONError when `message` is not JSON. */
export function parseJSON(message: Message): unknown {
  try {
    return message.json();
  } catch (error) {
    throw jsonError('message is not JSON', error);
  }
}

/** @throws JSONError for a value without JSON text: a function, undefined, a BigInt, a cycle. */
export function formatJSON(value: unknown): string {
  let cause: unknown = kind(value);
  try {
    const text = JSON.stringify(value);
    if (text !== undefined) return text;
  } catch (error) {
    cause = error;
  }
  throw jsonError('value cannot be written as JSON', cause);
}

function jsonError(fault: string, cause: unknown): JSONError {
  return new JSONError(`${fault}: ${printable(String(cause))}`, [], { cause });
}
