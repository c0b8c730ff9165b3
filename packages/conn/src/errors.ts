import { WebSocketError } from '@ws/codec';

/** gorilla/websocket's names of the codes. Those it has none for (1012 to 1014) stand as a number alone. */
const NAMES: Readonly<Record<number, string>> = {
  1000: 'normal',
  1001: 'going away',
  1002: 'protocol error',
  1003: 'unsupported data',
  1005: 'no status',
  1006: 'abnormal closure',
  1007: 'invalid payload data',
  1008: 'policy violation',
  1009: 'message too big',
  1010: 'mandatory extension missing',
  1011: 'internal server error',
  1015: 'TLS handshake error',
};

/**
 * The connection ended with a close frame, or without one (code 1006, reason `unexpected EOF`). Every read after
 * that rejects with it.
 */
export class CloseError extends WebSocketError {
  declare readonly code: 'WS_ERR_CLOSE';
  /** What the peer sent; 1005 when its close frame was empty, 1006 when there was none (RFC 6455, section 7.1.5). */
  readonly closeCode: number;
  /** The peer's words, at most 123 bytes of UTF-8; escape them before you print them. */
  readonly reason: string;

  constructor(closeCode: number, reason = '') {
    const name = NAMES[closeCode];
    const words = `close ${closeCode}${name === undefined ? '' : ` (${name})`}`;
    super(reason === '' ? words : `${words}: ${printable(reason)}`, 'WS_ERR_CLOSE');
    this.closeCode = closeCode;
    this.reason = reason;
  }

  override get name(): string {
    return 'CloseError';
  }
}

/** A write after a close frame went out (RFC 6455, section 5.5.1): nothing of it was sent. */
export class CloseSentError extends WebSocketError {
  declare readonly code: 'WS_ERR_CLOSE_SENT';

  constructor() {
    super('close sent', 'WS_ERR_CLOSE_SENT');
  }

  override get name(): string {
    return 'CloseSentError';
  }
}

/**
 * A call on a MessageWriter whose message is over: closed, aborted, or finished because a later `nextWriter` began the
 * next one.
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

/** A message is not the JSON that was asked for, or a value cannot be written as JSON. The connection stays usable. */
export class JSONError extends WebSocketError {
  declare readonly code: 'WS_ERR_JSON';
  /** What a schema found wrong, as its library tells it. */
  readonly issues: readonly unknown[];

  constructor(message: string, issues: readonly unknown[] = [], options?: ErrorOptions) {
    super(message, 'WS_ERR_JSON', options);
    this.issues = issues;
  }

  override get name(): string {
    return 'JSONError';
  }
}

/** The peer's message is longer than `readLimit`. The connection was closed with 1009. */
export class ReadLimitError extends WebSocketError {
  declare readonly code: 'WS_ERR_READ_LIMIT';
  /** The limit that was exceeded, in bytes. */
  readonly limit: number;

  constructor(limit: number) {
    super(
      `read limit of ${limit} bytes exceeded; raise it with the option readLimit`,
      'WS_ERR_READ_LIMIT',
    );
    this.limit = limit;
  }

  override get name(): string {
    return 'ReadLimitError';
  }
}

/** A second way of reading while one is pending. The message names both; neither loses anything. */
export class ReadPendingError extends WebSocketError {
  declare readonly code: 'WS_ERR_READ_PENDING';

  constructor(asked: string, pending: string) {
    super(`${asked} while ${pending} is pending`, 'WS_ERR_READ_PENDING');
  }

  override get name(): string {
    return 'ReadPendingError';
  }
}

/** Something took longer than it was given: a handshake, a deadline, a ping, a heartbeat. */
export class TimeoutError extends WebSocketError {
  declare readonly code: 'WS_ERR_TIMEOUT';

  constructor(message: string, options?: ErrorOptions) {
    super(message, 'WS_ERR_TIMEOUT', options);
  }

  override get name(): string {
    return 'TimeoutError';
  }
}

/** A write was refused because too much waits already: nothing of it was sent. Await writes, or write less. */
export class BackpressureError extends WebSocketError {
  declare readonly code: 'WS_ERR_BACKPRESSURE';

  constructor(message: string) {
    super(message, 'WS_ERR_BACKPRESSURE');
  }

  override get name(): string {
    return 'BackpressureError';
  }
}

/** The transport failed, a socket was reset for example; `cause` is its own error. */
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
 * Says whether `error` is a {@link CloseError} with one of `codes`. Without codes: false, as in gorilla/websocket.
 */
export function isCloseError(error: unknown, ...codes: number[]): error is CloseError {
  return error instanceof CloseError && codes.includes(error.closeCode);
}

/**
 * Says whether `error` is a {@link CloseError} with none of the `expected` codes; other errors are not. Without
 * codes: true for every CloseError.
 */
export function isUnexpectedCloseError(error: unknown, ...expected: number[]): error is CloseError {
  return error instanceof CloseError && !expected.includes(error.closeCode);
}

/** The peer's words with control characters escaped, those that turn text around too: they cannot forge lines in a log. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => {
    const code = c.codePointAt(0)!.toString(16);
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`;
  });
}
