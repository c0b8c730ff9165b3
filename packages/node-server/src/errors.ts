import { WebSocketError } from '@ws/codec';
import { isThenable, kind, onRejection } from '@ws/conn/internal';

/** A header of a response: name and value. */
export type HeaderPair = readonly [name: string, value: string];

/** Options of a {@link HandshakeError}. */
export interface HandshakeErrorOptions extends ErrorOptions {
  /** Headers that the answer has in addition to the defaults. Default: none. */
  readonly headers?: readonly HeaderPair[] | undefined;
  /**
   * The body of the answer, as plain text. Escape input of the client in it. Default: the message
   * without the status.
   */
  readonly body?: string | undefined;
}

/**
 * An upgrade request was refused. When `upgrade` rejects with this error, the answer was already
 * written.
 *
 * `status` distinguishes the causes: 4xx for a request that breaks a rule, 500 for an error of one
 * of the application's functions (see `cause`), 503 for a timeout, 503 or 429 for a limit.
 * `authenticate` may choose any status from 300 to 599.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { HandshakeError, Upgrader } from '@ws/node-server';
 *
 * const upgrader = new Upgrader({ authenticate: (req) => req.headers['x-user'] === 'ada' });
 * const server = createServer();
 * server.on('upgrade', async (req, socket, head) => {
 *   try {
 *     const conn = await upgrader.upgrade(req, socket, head);
 *     await conn.send('welcome');
 *   } catch (error) {
 *     if (error instanceof HandshakeError) console.log(error.status); // 401
 *     else throw error;
 *   }
 * });
 * ```
 */
export class HandshakeError extends WebSocketError {
  declare readonly code: 'WS_ERR_HANDSHAKE';
  /** The HTTP status of the answer. */
  readonly status: number;
  /** Headers that the answer has in addition to the defaults. */
  readonly headers: readonly HeaderPair[];
  /** The body of the answer. Input of the client in it is escaped. */
  readonly body: string;

  constructor(status: number, message: string, options: HandshakeErrorOptions = {}) {
    super(`${status}: ${message}`, 'WS_ERR_HANDSHAKE', options);
    this.status = status;
    this.headers = options.headers ?? [];
    this.body = options.body ?? `${message}\n`;
  }

  override get name(): string {
    return 'HandshakeError';
  }
}

/**
 * Makes the error for a client that may come back, with Retry-After.
 *
 * @param ms - The wait that the client is asked for. Default: random, so that clients who are refused
 *   together do not return together.
 */
export function tryLater(
  status: 429 | 503,
  message: string,
  options: HandshakeErrorOptions = {},
  ms: number = 5_000 + 10_000 * Math.random(),
): HandshakeError {
  const seconds = Math.min(Math.max(Math.round(ms / 1_000), 1), 60);
  const headers = [['Retry-After', String(seconds)]] as const;
  return new HandshakeError(status, message, { ...options, headers });
}

/** The functions of the application that have failed, for reports. */
const failedFunctions = /* @__PURE__ */ new WeakMap<HandshakeError, string>();

/**
 * Makes the error for a function of the application that failed. The peer does not see the cause.
 */
export function serverFault(where: string, cause: unknown): HandshakeError {
  const body = 'Internal Server Error\n';
  const error = new HandshakeError(500, `${where} failed`, { body, cause });
  failedFunctions.set(error, where);
  return error;
}

/** The function of the application that has failed; undefined for other causes. */
export function failedFunction(error: HandshakeError): string | undefined {
  return failedFunctions.get(error);
}

/**
 * Makes the error for a synchronous function option that has returned a wrong value. The rejection
 * of a promise is discarded: no other code handles it, and it would end the process.
 */
export function unexpectedResult(name: string, expected: string, result: unknown): TypeError {
  if (!isThenable(result)) {
    return new TypeError(`${name}: expected ${expected}, got ${kind(result)}`);
  }
  onRejection(result, () => {});
  return new TypeError(
    `${name}: expected ${expected}, got a promise; it must be synchronous. Do async work in authenticate`,
  );
}

/** Most characters of a client's value in a message. */
const MAX_VALUE = 80;
/** Characters outside printable ASCII, and those with a meaning in HTML or quoted text. */
const UNSAFE = /[^\x21-\x7e]|[<>&"'`\\]/gu;

/**
 * Returns a value of a client for a message or a body: escaped, at most 80 characters;
 * `(empty)` for none.
 */
export function quoted(value: string): string {
  if (value === '') return '(empty)';
  const escaped = value.slice(0, MAX_VALUE + 1).replace(UNSAFE, escapeCharacter);
  return escaped.length > MAX_VALUE ? `${escaped.slice(0, MAX_VALUE - 3)}...` : escaped;
}

function escapeCharacter(char: string): string {
  return `\\u{${char.codePointAt(0)!.toString(16)}}`;
}
