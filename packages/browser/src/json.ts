import type { StandardSchema } from '@ws/conn';
import { JSONError, kind, type Message, printable } from '@ws/conn/parts';

/** @throws TypeError when `schema` is not a Standard Schema. */
export function checkSchema(schema: StandardSchema | undefined): void {
  if (schema === undefined || typeof schema?.['~standard']?.validate === 'function') return;
  throw new TypeError(`schema: expected a Standard Schema, got ${kind(schema)}`);
}

/**
 * Parses `message` as JSON and validates it with `schema`.
 *
 * @throws (rejects) JSONError when the message is not JSON, or does not match the schema.
 */
export async function parseJSON(
  message: Message,
  schema: StandardSchema | undefined,
): Promise<unknown> {
  let value: unknown;
  try {
    value = JSON.parse(message.text());
  } catch (cause) {
    throw jsonError('message is not JSON', cause);
  }
  if (schema === undefined) return value;
  const { issues, value: output } = (await schema['~standard'].validate(value)) as {
    readonly issues?: readonly { readonly message?: unknown }[];
    readonly value?: unknown;
  };
  if (issues === undefined) return output;
  throw jsonError('message does not fit the schema', issues[0]?.message, issues);
}

/** @throws JSONError for a value without JSON text: a function, undefined, a BigInt, a cycle. */
export function formatJSON(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw jsonError('value cannot be written as JSON', cause);
  }
  if (text === undefined) throw new JSONError(`${kind(value)} cannot be written as JSON`);
  return text;
}

function jsonError(text: string, cause: unknown, issues: readonly unknown[] = []): JSONError {
  return new JSONError(`${text}: ${printable(String(cause))}`, issues, { cause });
}
