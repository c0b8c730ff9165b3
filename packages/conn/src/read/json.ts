import { causeText, JSONError, printable } from '../errors.ts';
import type { BorrowedMessage, Message } from '../message.ts';
import { kind } from '../validate.ts';

/**
 * A validator as https://standardschema.dev describes it, for example a schema of zod or valibot.
 */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | PromiseLike<SchemaResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly unknown[] };

/** The type of the value that a schema returns for a valid value. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

/** @throws JSONError when `message` is not JSON. */
function parseMessage(message: Message | BorrowedMessage): unknown {
  const text = message.text();
  if (text.trim() === '') throw new JSONError('unexpected EOF: an empty message is not JSON');
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = printable(causeText(error));
    throw new JSONError(`message is not JSON: ${why}`, [], { cause: error });
  }
}

/**
 * As {@link parseMessage}, for a pending message. The stack of the error names the async function that
 * awaits the result, unless other code has called `then` or `catch` of the result before.
 *
 * @param onFailure - Called before the result rejects, because a `catch` would change the stack.
 */
export async function parseLater<T>(message: Promise<Message>, onFailure: () => void): Promise<T> {
  try {
    return parseMessage(await message) as T;
  } catch (error) {
    onFailure();
    throw error;
  }
}

/**
 * Checks a value that was written as `text`.
 *
 * @throws TypeError for a Map, a Set or a promise anywhere in `value`: JSON.stringify writes `{}`.
 */
export function checkNoMaps(owner: string, value: unknown, text: string): void {
  // Most values have no empty object, and need no second pass.
  const map = text.includes('{}') ? mapIn(value, '') : undefined;
  if (map === undefined) return;
  const cure = map.endsWith('Promise') ? 'await it' : 'write [...value]';
  throw new TypeError(`${owner}: ${map}, which JSON does not have; ${cure}`);
}

/**
 * Finds a Map, a Set or a promise that is written as `{}`. A walk takes a third of the time of
 * `JSON.stringify` with a replacer.
 */
function mapIn(value: unknown, key: string): string | undefined {
  const toJSON = (value as { toJSON?: unknown } | null | undefined)?.toJSON;
  const written: unknown = typeof toJSON === 'function' ? toJSON.call(value, key) : value;
  if (typeof written !== 'object' || written === null) return undefined;
  const names = Object.keys(written);
  for (const name of names) {
    const found = mapIn(written[name as keyof typeof written], name);
    if (found !== undefined) return found;
  }
  const type = names.length === 0 ? kind(written) : '';
  if (!['Map', 'Set', 'Promise'].includes(type)) return undefined;
  return key === '' ? `a ${type}` : `${JSON.stringify(key)} is a ${type}`;
}

/**
 * Returns `value` as JSON text.
 *
 * @throws JSONError for a value without JSON text: a function, a symbol, undefined, a BigInt, a
 *   cycle.
 */
export function formatJSON(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // For a cycle, V8 prints several lines. The first one says enough.
    const [why] = causeText(error).split('\n', 1);
    const message = 'value cannot be written as JSON';
    throw new JSONError(why ? `${message}: ${printable(why)}` : message, [], { cause: error });
  }
  if (text === undefined) throw new JSONError(`${kind(value)} cannot be written as JSON`);
  return text;
}
