import { causeText, JSONError, printable, type SchemaIssue } from '../errors.ts';
import type { BorrowedMessage, Message } from '../message.ts';
import { kind } from '../validate.ts';

/**
 * A validator as https://standardschema.dev describes it. The schemas of zod, valibot, arktype and
 * others are such validators.
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

/** The type of the value that a schema returns for valid input. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

/** The first words of the error for a message that is JSON. */
export const MISFIT = 'message does not fit the schema';

/**
 * The value that a schema has returned, or the error of a message that does not fit.
 *
 * @throws TypeError when it has returned neither; what its getters throw.
 */
export function validationResult(validated: unknown): { readonly value: unknown } | JSONError {
  // A value that is no object has neither property.
  const result = Object(validated) as { value: unknown; issues?: readonly SchemaIssue[] };
  const { issues } = result;
  if (issues === undefined) return { value: valueOf(result) };
  const why = words(issues);
  const said = why ? `: ${why}` : '';
  return new JSONError(`${MISFIT}${said}`, issues);
}

/** The error of a schema that throws, or returns no result. */
export function schemaFailed(cause: unknown): JSONError {
  return new JSONError('the schema failed', [], { cause });
}

function valueOf(result: { readonly value: unknown }): unknown {
  if ('value' in result) return result.value;
  throw new TypeError('the schema returned neither a value nor issues');
}

/** @throws JSONError when `message` is not JSON. */
export function parseMessage(message: Message | BorrowedMessage): unknown {
  const text = message.text();
  if (text.trim() === '') throw new JSONError('unexpected EOF: an empty message is not JSON');
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = printable(causeText(error));
    throw new JSONError(`message is not JSON: ${why}`, [], { cause: error });
  }
}

/** The first three issues, each as its path and its message. Both may quote the peer's message. */
function words(issues: readonly unknown[]): string {
  const texts = issues.slice(0, 3).map((issue) => {
    const { message, path } = issue as { message?: unknown; path?: readonly unknown[] };
    const keys = path?.map((step) => String((step as { key?: unknown })?.key ?? step)).join('.');
    return keys ? `${keys}: ${String(message)}` : String(message);
  });
  if (issues.length > 3) texts.push('\u2026');
  return texts.join('; ');
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
    // For a cycle, the first line of the error says enough.
    const [why] = causeText(error).split('\n', 1);
    const message = 'value cannot be written as JSON';
    throw new JSONError(why ? `${message}: ${printable(why)}` : message, [], { cause: error });
  }
  if (text === undefined) throw new JSONError(`${kind(value)} cannot be written as JSON`);
  return text;
}

/** @throws TypeError when `schema` is not a Standard Schema. */
export function checkSchema(schema: unknown, isOptional = true): void {
  if (schema === undefined && isOptional) return;
  const { '~standard': standard } = (schema ?? {}) as { '~standard'?: { validate?: unknown } };
  if (typeof standard?.validate === 'function') return;
  throw new TypeError(
    `schema: expected a Standard Schema (zod, valibot, ...), got ${kind(schema)}`,
  );
}
