import { BinaryMessage, TextMessage } from '@ws/codec';
import { checkOptionNames, isUint8Array, kind } from '../validate.ts';
import { PreparedMessage } from '../writing/prepared-message.ts';

/** A message that a server answers without its handler, and the answer. Bytes are copied. */
export interface AutoResponse {
  /** A string is a text message, bytes are a binary message. */
  readonly request: string | Uint8Array;
  /** A string is sent as text, bytes as binary. */
  readonly response: string | Uint8Array;
}

/** A checked {@link AutoResponse}, with its own copies of the bytes. */
export type PreparedResponse = Readonly<Record<keyof AutoResponse, PreparedMessage>>;

/** @throws TypeError that names the option. */
export function checkAutoResponse(value: unknown): PreparedResponse {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`autoResponse: expected { request, response }, got ${kind(value)}`);
  }
  checkOptionNames('autoResponse', value, ['request', 'response'], 'ignore');
  const { request, response } = value as Partial<AutoResponse>;
  return {
    request: message('request', request),
    response: message('response', response),
  };
}

function message(name: string, value: unknown): PreparedMessage {
  if (typeof value === 'string') return new PreparedMessage(TextMessage, value);
  if (isUint8Array(value)) return new PreparedMessage(BinaryMessage, value);
  const hint = kind(value) === 'Object' ? '; pass JSON.stringify(value)' : '';
  throw new TypeError(
    `autoResponse.${name}: expected a string or a Uint8Array, got ${kind(value)}${hint}`,
  );
}
