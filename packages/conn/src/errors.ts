import { CloseCode, WebSocketError } from '@ws/codec';
import { hasOwn } from '@ws/codec/internal';

export { BackpressureError } from '@ws/codec';

/** The names of the close codes from 1000 on, as in gorilla/websocket. Some codes have no name. */
const NAMES: readonly string[] =
  /* @__PURE__ */
  'normal,going away,protocol error,unsupported data,,no status,abnormal closure,invalid payload data,policy violation,message too big,mandatory extension missing,internal server error,,,,TLS handshake error'.split(
    ',',
  );

/** The reason after an end without a close frame, as in gorilla/websocket. */
export const UNEXPECTED_EOF = 'unexpected EOF';
const NO_CLOSE_FRAME = '; the peer ended the connection without a close frame';

/**
 * The connection ended with a close frame, or without one (code 1006, reason `unexpected EOF`).
 * Every later read rejects with the same error.
 *
 * @see RFC 6455, section 7.1.5
 *
 * @example
 * ```ts
 * import { CloseError, connPair } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * void client.close(4000, 'lunch');
 * try {
 *   await server.readMessage();
 * } catch (error) {
 *   if (error instanceof CloseError) console.log(error.closeCode, error.reason); // 4000 lunch
 * }
 * ```
 */
export class CloseError extends WebSocketError {
  declare readonly code: 'WS_ERR_CLOSE';
  /**
   * The peer's close code; 1005 for an empty close frame, 1006 without one (RFC 6455, section
   * 7.4.1).
   */
  readonly closeCode: number;
  /** The peer's reason, at most 123 bytes of UTF-8. Escape it before you print it. */
  readonly reason: string;

  /** @param note - Explains the code in this case; appended to the message. */
  constructor(closeCode: number, reason = '', note = '') {
    const name = NAMES[closeCode - 1000];
    const closeText = `close ${closeCode}${name ? ` (${name})` : ''}`;
    const hint = closeCode === 1006 && reason === UNEXPECTED_EOF ? NO_CLOSE_FRAME : '';
    const text = reason && `: ${printable(reason)}${hint}`;
    super(`${closeText}${text}${note && `; ${note}`}`, 'WS_ERR_CLOSE');
    this.closeCode = closeCode;
    this.reason = reason;
  }

  override get name(): string {
    return 'CloseError';
  }
}

/**
 * A write came after our close frame (RFC 6455, section 5.5.1). No part of it was sent. Also for
 * `send` and `reconnect` after the end of a `ReconnectingConn`.
 *
 * @example
 * ```ts
 * import { CloseSentError, connPair } from '@ws/conn';
 *
 * const [client] = connPair();
 * void client.close();
 * try {
 *   await client.send('too late');
 * } catch (error) {
 *   console.log(error instanceof CloseSentError); // true
 * }
 * ```
 */
export class CloseSentError extends WebSocketError {
  declare readonly code: 'WS_ERR_CLOSE_SENT';

  constructor(
    message = 'close sent: this end has begun to close, and sends no more messages',
    options?: ErrorOptions,
  ) {
    super(message, 'WS_ERR_CLOSE_SENT', options);
  }

  override get name(): string {
    return 'CloseSentError';
  }
}

/**
 * A call on a MessageWriter that was closed, aborted, or finished by a later `nextWriter`.
 *
 * @example
 * ```ts
 * import { connPair, TextMessage, WriteClosedError } from '@ws/conn';
 *
 * const [client] = connPair();
 * const writer = await client.nextWriter(TextMessage);
 * await writer.close();
 * try {
 *   await writer.write('too late');
 * } catch (error) {
 *   console.log(error instanceof WriteClosedError); // true
 * }
 * ```
 */
export class WriteClosedError extends WebSocketError {
  declare readonly code: 'WS_ERR_WRITE_CLOSED';

  constructor() {
    super('write closed', 'WS_ERR_WRITE_CLOSED');
  }

  override get name(): string {
    return 'WriteClosedError';
  }
}

/** An invalid part of a value, as https://standardschema.dev describes it. */
export interface SchemaIssue {
  readonly message: string;
  /** Path to the invalid part: keys, or objects with a key. Absent for the whole value. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * A message is not valid JSON, a value cannot be serialized, or a value of `@ws/rpc` is not valid
 * for its schema. The connection stays usable.
 *
 * @example
 * ```ts
 * import { connPair, JSONError } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * await client.send('{');
 * try {
 *   await server.readJSON();
 * } catch (error) {
 *   if (error instanceof JSONError) await server.send('expected JSON');
 * }
 * ```
 */
export class JSONError extends WebSocketError {
  declare readonly code: 'WS_ERR_JSON';
  /** The issues that the schema reports, with unchecked types. Empty for a syntax error. */
  readonly issues: readonly SchemaIssue[];

  constructor(message: string, issues: readonly SchemaIssue[] = [], options?: ErrorOptions) {
    super(message, 'WS_ERR_JSON', options);
    this.issues = issues;
  }

  override get name(): string {
    return 'JSONError';
  }
}

/**
 * A message of the peer is longer than `readLimit`. The connection closes with 1009.
 *
 * @example
 * ```ts
 * import { connPair, ReadLimitError } from '@ws/conn';
 *
 * const [client, server] = connPair({ readLimit: 10 });
 * void client.send('more than ten bytes').catch(() => {});
 * try {
 *   await server.readMessage();
 * } catch (error) {
 *   if (error instanceof ReadLimitError) console.log(error.limit); // 10
 * }
 * ```
 */
export class ReadLimitError extends WebSocketError {
  declare readonly code: 'WS_ERR_READ_LIMIT';
  /** The limit that was exceeded, in bytes. */
  readonly limit: number;

  constructor(limit: number) {
    super(
      `read limit of ${limit} bytes exceeded by a message of the peer; raise it with the option readLimit`,
      'WS_ERR_READ_LIMIT',
    );
    this.limit = limit;
  }

  override get name(): string {
    return 'ReadLimitError';
  }
}

/**
 * A read started while another one is pending, or the rest of a streamed message was dropped. The
 * error message names both reads, or the cause.
 *
 * @example
 * ```ts
 * import { connPair, ReadPendingError } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * const first = server.readMessage();
 * try {
 *   await server.readMessage();
 * } catch (error) {
 *   console.log(error instanceof ReadPendingError); // true
 * }
 * await client.send('for the first read');
 * await first;
 * ```
 */
export class ReadPendingError extends WebSocketError {
  declare readonly code: 'WS_ERR_READ_PENDING';

  constructor(
    asked: string,
    pending: string,
    message = `${asked} while ${pending} is pending; read in one place at a time`,
  ) {
    super(message, 'WS_ERR_READ_PENDING');
  }

  override get name(): string {
    return 'ReadPendingError';
  }
}

/**
 * A time limit expired: of a handshake, a deadline, a call, a ping, the heartbeat, or the
 * option `alive` of a page.
 *
 * @example
 * ```ts
 * import { connPair, TimeoutError } from '@ws/conn';
 *
 * const [, server] = connPair();
 * server.setReadDeadline(new Date(Date.now() - 1));
 * try {
 *   await server.readMessage();
 * } catch (error) {
 *   if (error instanceof TimeoutError) console.log(error.permanent); // true
 * }
 * ```
 */
export class TimeoutError extends WebSocketError {
  declare readonly code: 'WS_ERR_TIMEOUT';
  /**
   * Whether later calls fail too. True after a deadline, a failed heartbeat or `alive`,
   * `idleReadTimeout`, the time of the closing handshake, and for messages dropped at the end. False
   * for the `timeout` of one call.
   */
  readonly permanent: boolean;

  constructor(message: string, options?: ErrorOptions & { readonly permanent?: boolean }) {
    super(message, 'WS_ERR_TIMEOUT', options);
    this.permanent = options?.permanent ?? false;
  }

  override get name(): string {
    return 'TimeoutError';
  }
}

/**
 * The transport failed, for example because a socket was reset; or the peer closed within a message.
 * `cause` is the error of the transport, or the {@link CloseError}.
 *
 * @example
 * ```ts
 * import { dial, TransportError } from '@ws/node-client';
 *
 * try {
 *   await dial('ws://127.0.0.1:1'); // nothing listens there
 * } catch (error) {
 *   if (error instanceof TransportError) console.log(error.cause); // connect ECONNREFUSED
 * }
 * ```
 */
export class TransportError extends WebSocketError {
  declare readonly code: 'WS_ERR_TRANSPORT';

  constructor(message: string, options?: ErrorOptions) {
    super(message, 'WS_ERR_TRANSPORT', options);
  }

  override get name(): string {
    return 'TransportError';
  }
}

/**
 * Calls `create` so that its error has no stack trace. At the end of a connection, a trace shows only
 * the event loop, and costs more than the rest of a close. A read that rejects with the error adds the
 * stack of its caller.
 */
export function untraced<T extends Error | undefined>(create: () => T): T {
  const limit = Error.stackTraceLimit;
  if (limit === undefined) return create();
  try {
    Error.stackTraceLimit = 0;
  } catch {
    // The application has frozen Error.
    return create();
  }
  try {
    return create();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** Returns `value` as an Error, because functions of an application may throw any value. */
export function errorOf(value: unknown): Error | undefined {
  if (value === undefined || isError(value)) return value;
  return new Error(`a value was thrown that is not an Error: ${thrownText(value)}`, {
    cause: value,
  });
}

/**
 * Whether `value` is an Error of any realm. In Jest and in a vm context, errors of Node's modules
 * are no instances of this realm's Error. Never throws.
 */
export function isError(value: unknown): value is Error {
  try {
    if (value instanceof Error) return true;
    const { message, stack } = (value ?? {}) as Partial<Error>;
    return typeof message === 'string' && typeof stack === 'string';
  } catch {
    // A getter or a trap of a Proxy has thrown.
    return false;
  }
}

function thrownText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

/** The error of a connection after its transport threw or rejected in `method`. */
export function transportFailed(method: string, cause: unknown): TransportError {
  const why = causeText(cause);
  const message = `the transport could not ${method}${why === '' ? '' : `: ${why}`}`;
  return new TransportError(message, { cause });
}

/** Explanations of system error codes. Other packages explain the codes of their own calls. */
const MEANINGS: Readonly<Record<string, string>> = {
  ECONNRESET: 'the peer reset the connection',
  EPIPE: 'the peer has closed the connection',
};

/**
 * Returns the message of `cause` for the message of another error, with its code and an
 * explanation. `''` for a value that is no Error or has no message.
 */
export function causeText(cause: unknown): string {
  try {
    return isError(cause) ? messageWithCode(cause) : '';
  } catch {
    // A getter or a trap of the error throws.
    return '';
  }
}

function messageWithCode(error: Error): string {
  const { code, reason, errors } = error as { code?: unknown; reason?: unknown; errors?: unknown };
  // A dial may fail with an AggregateError: one error for each address of the host name.
  if (error.message === '' && Array.isArray(errors)) {
    return errors.map(causeText).filter(Boolean).join(', ');
  }
  // OpenSSL's `message` contains memory addresses and file names. Its `reason` is readable.
  if (typeof reason === 'string' && error.message.includes(':SSL routines:')) return reason;
  const text = error.message.replace(/^websocket: /, '');
  if (typeof code !== 'string') return text;
  const meaning = hasOwn(MEANINGS, code) && text.includes(code) ? `; ${MEANINGS[code]}` : '';
  return text.includes(code) ? `${text}${meaning}` : `${text} (${code})`;
}

/**
 * Whether `error` is a {@link CloseError} with one of `codes`. Without codes the result is true for
 * every CloseError.
 *
 * @example
 * ```ts
 * import { CloseCode, connPair, isCloseError } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * void client.close(CloseCode.GoingAway);
 * try {
 *   await server.readMessage();
 * } catch (error) {
 *   if (!isCloseError(error, CloseCode.NormalClosure, CloseCode.GoingAway)) throw error;
 * }
 * ```
 */
export function isCloseError(error: unknown, ...codes: number[]): error is CloseError {
  return error instanceof CloseError && (codes.length === 0 || codes.includes(error.closeCode));
}

/**
 * Whether `error` is a {@link CloseError} with a code that is not `expected`. False for other
 * errors. Without codes the result is true for every CloseError.
 *
 * @example
 * ```ts
 * import { CloseCode, connPair, isUnexpectedCloseError } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * void client.close(CloseCode.ServiceRestart, 'back in a minute');
 * try {
 *   await server.readMessage();
 * } catch (error) {
 *   if (isUnexpectedCloseError(error, CloseCode.NormalClosure)) console.log(error.reason);
 * }
 * ```
 */
export function isUnexpectedCloseError(error: unknown, ...expected: number[]): error is CloseError {
  return error instanceof CloseError && !expected.includes(error.closeCode);
}

/** Escapes control and direction characters, so that a peer cannot forge log lines. */
export function printable(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => {
    const code = c.codePointAt(0)!.toString(16);
    return `\\u${code.length > 4 ? `{${code}}` : code.padStart(4, '0')}`;
  });
}

/** Whether `error` is a normal end of reading: `receive` resolves, and an iteration is done. */
export function isNormalEnd(error: unknown): boolean {
  if (!(error instanceof CloseError)) return false;
  return (
    error.closeCode === CloseCode.NormalClosure ||
    error.closeCode === CloseCode.GoingAway ||
    error.closeCode === CloseCode.NoStatusReceived
  );
}
