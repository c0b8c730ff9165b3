import type { StandardSchema } from '@ws/conn';
import { checkNoMaps, formatJSON } from '@ws/conn/internal';
import { ErrorCode } from './rpc-error.ts';
import { takes } from './schema.ts';

/** The id of a request. This library uses whole numbers. Other libraries may use strings or null. */
export type Id = string | number | null;

/** Cancels a request: `{ id }`. */
export const CANCEL = '$/cancelRequest';

/** Carries items of a stream: `{ id, items: […] }`. */
export const ITEM = '$/item';

/** Reports that the reader of a stream has taken `n` more items: `{ id, n }`. */
export const MORE = '$/more';

/** Message of the error -32000 that ends a stream whose item was refused, because too much waits. */
export const ITEM_REFUSED = 'the item was refused, because this client reads too slowly';

/** A message of JSON-RPC 2.0. Only the member `jsonrpc` was checked. */
export interface WireMessage {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/**
 * Parses a text message. Refuses a batch, a JSON array.
 *
 * @returns The message; for an invalid one, the text of the error to answer.
 */
export function parse(text: string): WireMessage | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return errorText(null, ErrorCode.ParseError, 'Parse error');
  }
  const { jsonrpc } = Object(value) as { readonly jsonrpc?: unknown };
  return jsonrpc === '2.0' ? (value as WireMessage) : INVALID;
}

/**
 * Whether a request may have this `id`. False for a number of 2^53 or more: JavaScript rounds it, so
 * the answer would have another id.
 */
export function isId(id: unknown): id is Id {
  if (typeof id === 'number') return Math.abs(id) <= Number.MAX_SAFE_INTEGER;
  return typeof id === 'string' || id === null;
}

/**
 * The text of a request, or of an event when `id` is undefined.
 *
 * @param schema - The schema of the input.
 * @throws JSONError for an input without JSON text: a function, a cycle.
 */
export function callText(
  method: string,
  input: unknown,
  id: number | undefined,
  schema: StandardSchema,
): string {
  const idText = id === undefined ? '' : `"id":${id},`;
  return `{"jsonrpc":"2.0",${idText}"method":"${method}"${paramsText(input, schema)}}`;
}

/**
 * The `params` of an input; none for undefined. JSON-RPC allows only an object or an array, so any other
 * input is wrapped: `[input]`. For params `[x]`, the peer first tries `x` as the input. So an input
 * `[x]` is wrapped too, as `[[x]]`, if the schema also accepts `x`.
 */
function paramsText(input: unknown, schema: StandardSchema): string {
  if (input === undefined) return '';
  const text = formatJSON(input);
  const isList = text[0] === '[';
  if (!isList && text[0] !== '{') return `,"params":[${text}]`;
  // Looks at the value after JSON, because `toJSON` may return an array.
  const mayNeedWrap = isList && !(Array.isArray(input) && input.length !== 1);
  const list: readonly unknown[] = mayNeedWrap ? JSON.parse(text) : [];
  const isWrapped = list.length === 1 && takes(schema, list[0]);
  return isWrapped ? `,"params":[${text}]` : `,"params":${text}`;
}

/** @throws JSONError for a result without JSON text. Undefined is written as null. */
export function resultText(id: Id, result: unknown): string {
  return `{"jsonrpc":"2.0","id":${idText(id)},"result":${valueText(result)}}`;
}

/** @throws TypeError also for a Map or Set: JSON writes them as `{}`. */
function valueText(value: unknown): string {
  if (value === undefined) return 'null';
  const text = formatJSON(value);
  checkNoMaps('an answer', value, text);
  return text;
}

/** @throws JSONError for `data` without JSON text. */
export function errorText(id: Id, code: number, message: string, data?: unknown): string {
  const more = data === undefined ? '' : `,"data":${formatJSON(data)}`;
  const text = JSON.stringify(message);
  return `{"jsonrpc":"2.0","id":${idText(id)},"error":{"code":${code},"message":${text}${more}}}`;
}

/** The answer to a message that is no request, no event and no answer. */
export const INVALID: string = invalidText(null);

export function invalidText(id: Id): string {
  return errorText(id, ErrorCode.InvalidRequest, 'Invalid Request');
}

/** The text of an event `$/…` of this library. */
export function signalText(method: string, params?: object): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params });
}

/**
 * The text of an item of the stream `id`. This library sends one item in a message.
 *
 * @throws JSONError for a value without JSON text. Undefined is written as null.
 */
export function itemText(id: Id, value: unknown): string {
  const item = valueText(value);
  return `{"jsonrpc":"2.0","method":"${ITEM}","params":{"id":${idText(id)},"items":[${item}]}}`;
}

function idText(id: Id): string {
  return typeof id === 'number' ? String(id) : JSON.stringify(id);
}
