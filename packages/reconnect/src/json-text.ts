import { causeText } from '@ws/conn/internal';

/** @throws TypeError for a value without JSON text. */
export function jsonOf(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    // For a cycle, the first line of the error says enough. What `toJSON` throws may be no Error.
    const why = causeText(cause).split('\n', 1)[0];
    throw new TypeError(`value cannot be written as JSON: ${why}`, { cause });
  }
  if (text !== undefined) return text;
  throw new TypeError(`${typeof value} cannot be written as JSON`);
}
