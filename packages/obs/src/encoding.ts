import type { BorrowedMessage } from '@ws/conn';
import { kind } from '@ws/conn/internal';
import { ObsProtocolError } from './errors.ts';
import { expect } from './options.ts';

/**
 * A binary encoding of messages: MessagePack, for example `@msgpack/msgpack`. OBS knows the types of
 * JSON only. So `encode` gets what JSON makes of the data: a Date is a string, as with JSON itself.
 */
export interface Encoding {
  encode(value: unknown): Uint8Array;
  /** @param bytes - Yours: the decoded value may contain views of them. */
  decode(bytes: Uint8Array): unknown;
}

/** The fields of a message. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Returns the bytes or the text of a message.
 *
 * @throws TypeError when `encode` of the encoding returns no bytes.
 */
export function encode(fields: unknown, encoding: Encoding | undefined): string | Uint8Array {
  const text = JSON.stringify(fields);
  if (encoding === undefined) return text;
  // Other encodings may write an undefined field as null, which OBS rejects. JSON leaves it out.
  const bytes: unknown = encoding.encode(JSON.parse(text));
  expect(ArrayBuffer.isView(bytes), 'encoding.encode', 'bytes as the result', bytes);
  return bytes as Uint8Array;
}

/**
 * Returns the fields of a message.
 *
 * @throws ObsProtocolError when the message is no object.
 */
export function decode(
  message: Pick<BorrowedMessage, 'data' | 'json'>,
  encoding: Encoding | undefined,
): Fields {
  let value: unknown;
  try {
    value = encoding === undefined ? message.json() : encoding.decode(message.data);
  } catch (cause) {
    throw new ObsProtocolError('a message cannot be decoded', { cause });
  }
  return fieldsOf(value);
}

/** @throws ObsProtocolError when a part of a message is no object. */
export function fieldsOf(value: unknown): Fields {
  return typed('a message', 'object', value);
}

/** @throws ObsProtocolError when a value in a message is missing or not of `type`. */
export function typed<T extends 'number' | 'object' | 'string'>(
  name: string,
  type: T,
  value: unknown,
): { number: number; object: Fields; string: string }[T] {
  if (typeof value === type && value !== null) return value as never;
  throw new ObsProtocolError(`${name}: expected ${type}, got ${kind(value)}`);
}
