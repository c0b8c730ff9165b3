import {
  BinaryMessage,
  formatCloseMessage,
  type MessageData,
  type PreparedMessage,
  TextMessage,
} from '@ws/conn';
import {
  checkNoMaps,
  checkOptionNames,
  formatJSON,
  isThenable,
  kind,
  onRejection,
  preparedOf,
} from '@ws/conn/internal';

const encoder = /* @__PURE__ */ new TextEncoder();

/** Longest name of a room, in bytes of UTF-8. */
export const MAX_ROOM_NAME = 256;
/** Longest key of a message, in bytes: an envelope has 2 bytes for the length of a key. */
const MAX_KEY_BYTES = 65_535;
/** Longest delay of a timer, in ms. */
export const MAX_DELAY_MS = 2_147_483_647;
/** Longest name of a question to all nodes, in bytes. */
export const MAX_QUESTION_NAME = 256;

/** @throws TypeError for a value that is no string. */
export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value === 'string') return;
  throw new TypeError(`${name}: expected a string, got ${kind(value)}`);
}

/** @throws TypeError for a value that is neither a function nor undefined. */
export function checkFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return;
  throw new TypeError(`${name}: expected a function, got ${kind(value)}`);
}

/**
 * @param least, most - Bounds of the bytes in UTF-8.
 * @param hint - The end of the message.
 * @throws TypeError for a value that is no string, RangeError for a number of bytes outside the bounds.
 */
export function checkText(
  name: string,
  value: unknown,
  least: number,
  most: number,
  hint = '',
): asserts value is string {
  checkString(name, value);
  // A UTF-16 unit has at most three bytes in UTF-8, so most texts need no measuring.
  const bytes = value.length * 3 <= most ? value.length : encoder.encode(value).length;
  if (bytes >= least && bytes <= most) return;
  throw new RangeError(`${name}: expected ${least} to ${most} bytes, got ${bytes}${hint}`);
}

/** @throws TypeError or RangeError for a name that no room can have. */
export function checkRoomName(name: unknown): asserts name is string {
  checkText('room', name, 1, MAX_ROOM_NAME);
}

/** @throws TypeError for a value that is not in `allowed`. */
export function checkOneOf<T>(
  name: string,
  value: unknown,
  allowed: readonly T[],
): asserts value is T {
  if (allowed.includes(value as T)) return;
  const got = typeof value === 'string' ? JSON.stringify(value) : kind(value);
  throw new TypeError(`${name}: expected one of ${allowed.join(', ')}, got ${got}`);
}

/** @throws TypeError or RangeError for a code or reason that no close frame may contain. */
export function checkClose(owner: string, code: number, reason: string): void {
  // The payload is empty for 1005, a code that no frame may contain (RFC 6455, section 7.4.1).
  if (formatCloseMessage(code, reason).length > 0) return;
  throw new RangeError(`${owner}: close code ${code} must not be sent`);
}

/**
 * @param takesKey - Whether a key may have an effect.
 * @throws TypeError or RangeError for an option that is not in `names`, and for a key that is invalid
 *   or has no effect.
 */
export function checkKeyedOptions(
  owner: string,
  options: { readonly key?: string | undefined },
  names: readonly string[],
  takesKey: boolean,
): void {
  checkOptionNames(owner, options, names, 'ignore');
  const { key } = options;
  if (key === undefined) return;
  checkText('key', key, 0, MAX_KEY_BYTES);
  checkWellFormed('key', key);
  if (!takesKey) throw new TypeError("key: needs the option overflow: 'latest' of the hub");
}

/**
 * @throws TypeError for a lone surrogate, which the UTF-8 of an envelope cannot represent.
 */
export function checkWellFormed(name: string, value: string): void {
  if (/\p{Surrogate}/u.test(value)) throw new TypeError(`${name}: it has a lone surrogate`);
}

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

/**
 * Copies the result of a function of the application. Ignores the rejection of a promise.
 *
 * @param name - Name of the function, for the error.
 * @throws TypeError for a result that is neither text nor bytes, such as a promise.
 */
export function prepareResult(result: unknown, name: string): PreparedMessage {
  onRejection(result, () => {});
  return prepare(result as MessageData, name);
}

/**
 * As {@link jsonOf}, for the result of a function of the application.
 *
 * @throws TypeError also for a Map or Set anywhere in the value, which JSON writes as `{}`.
 */
export function dataOf(value: unknown, owner: string): string {
  if (value === undefined) {
    throw new TypeError(
      `${owner}: it returned undefined; return a value (session.data has one after authenticate)`,
    );
  }
  const text = jsonOf(value, owner);
  checkNoMaps(owner, value, text);
  return text;
}

/** The bytes of `text` in UTF-8 if there are more than `most`. */
export function bytesAbove(text: string, most: number): number | undefined {
  // A UTF-16 unit has at most three bytes in UTF-8, so most texts need no measuring.
  if (text.length * 3 <= most) return undefined;
  const { length } = encoder.encode(text);
  return length > most ? length : undefined;
}

/** Matches the text of an event up to its name, and captures the name. */
const EVENT = /^\{"jsonrpc":"2\.0","method":"([^"]+)"/;

/** The name of the event that `text` encodes; undefined if `text` encodes none of `events`. */
export function eventNameOf(text: string, events: object): string | undefined {
  const [, name] = EVENT.exec(text) ?? [];
  return name !== undefined && Object.hasOwn(events, name) ? name : undefined;
}

/** @throws TypeError for the text of an event, which must not be encoded again. */
export function checkNoEvent(value: unknown, events: object): void {
  const event = typeof value === 'string' ? eventNameOf(value, events) : undefined;
  if (event === undefined) return;
  throw new TypeError(`expected a value, got the text of the event ${event}; send it as it is`);
}

/**
 * @param owner - Name of the value, for the error.
 * @throws TypeError for a promise, for a Map or Set, and for a value that cannot be written as JSON.
 */
export function jsonOf(value: unknown, owner?: string): string {
  const prefix = owner === undefined ? '' : `${owner}: `;
  try {
    if (isThenable(value)) {
      onRejection(value, () => {});
      throw new TypeError('expected a value, got a promise');
    }
    // JSON.stringify would write {}.
    if (value instanceof Map || value instanceof Set) {
      throw new TypeError(`expected a value that JSON has, got a ${kind(value)}`);
    }
    return formatJSON(value);
  } catch (cause) {
    throw new TypeError(`${prefix}${(cause as Error).message}`, { cause });
  }
}
