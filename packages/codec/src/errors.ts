/**
 * Base class of all errors of this library. The `message` starts with `websocket: `. The `code`
 * never changes: branch on `code` or on the class, never on the text.
 *
 * @example
 * ```ts
 * import { encodeFrame, Endpoint, TextMessage, WebSocketError } from '@ws/codec';
 *
 * const server = new Endpoint({ role: 'server' });
 * const unmasked = encodeFrame(TextMessage, new TextEncoder().encode('hello'));
 * for (const event of server.receive(unmasked)) {
 *   if (event.kind === 'close' && event.error instanceof WebSocketError) {
 *     console.log(event.error.code); // WS_ERR_PROTOCOL
 *   }
 * }
 * ```
 */
export class WebSocketError extends Error {
  /**
   * Stable, for example `WS_ERR_PROTOCOL`. It is the anchor of the error in
   * `docs/error-messages.md`, which has the cause and the cure.
   */
  readonly code: string;

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(`websocket: ${message}`, options);
    this.code = code;
  }

  override get name(): string {
    return 'WebSocketError';
  }

  /**
   * Makes `instanceof` true for the errors of another copy of this package too: a process may have
   * two versions, or an ES module beside a CommonJS bundle. Classes are the same when their `name`
   * is; a class of the application without a `name` getter has only its own instances.
   */
  static override [Symbol.hasInstance](
    this: { readonly prototype: object },
    value: unknown,
  ): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    if (typeof value !== 'object' || value === null || !('@ws/error' in value)) return false;
    const name = classNameOf(this.prototype);
    if (name === undefined) return false;
    let prototype: unknown = Object.getPrototypeOf(value);
    while (prototype !== null && classNameOf(prototype as object) !== name) {
      prototype = Object.getPrototypeOf(prototype);
    }
    return prototype !== null;
  }

  /** @internal Marks the errors of all copies of this package. */
  get '@ws/error'(): true {
    return true;
  }
}

/** The class name that a prototype of this package has. A minified class has no other. */
function classNameOf(prototype: object): unknown {
  return Object.getOwnPropertyDescriptor(prototype, 'name')?.get?.call(prototype);
}

/** The kind of rule that the peer broke. */
export type ProtocolErrorCode =
  | 'WS_ERR_PROTOCOL'
  | 'WS_ERR_INVALID_UTF8'
  | 'WS_ERR_INVALID_DEFLATE';

/**
 * The peer broke RFC 6455 or RFC 7692.
 *
 * @example
 * ```ts
 * import { Endpoint, ProtocolError } from '@ws/codec';
 *
 * const server = new Endpoint({ role: 'server' });
 * for (const event of server.receive(Uint8Array.of(0x81, 0))) {
 *   if (event.kind === 'close' && event.error instanceof ProtocolError) {
 *     console.log(event.error.closeCode, event.error.faults); // 1002 [ 'bad MASK' ]
 *   }
 * }
 * ```
 */
export class ProtocolError extends WebSocketError {
  declare readonly code: ProtocolErrorCode;
  /**
   * Code for the close frame that answers the fault: 1002, 1007, 1008 or 1009 (RFC 6455, section
   * 7.4.1), or 1013 above a rate.
   */
  readonly closeCode: number;
  /** All faults, in the order of the checks, for example `['RSV2 set', 'bad MASK']`. */
  readonly faults: readonly string[];
  /** Bytes of the stream before the frame with the fault, when a decoder found it. */
  offset: number | undefined = undefined;

  constructor(
    closeCode: number,
    faults: readonly string[],
    code: ProtocolErrorCode = 'WS_ERR_PROTOCOL',
    options?: ErrorOptions & {
      /** A possible cause, for the end of the message. */
      readonly hint?: string | undefined;
    },
  ) {
    super(faults.join(', ') + (options?.hint ? `; ${options.hint}` : ''), code, options);
    this.closeCode = closeCode;
    this.faults = faults;
  }

  override get name(): string {
    return 'ProtocolError';
  }
}

/**
 * A write was rejected because too many bytes are buffered. Nothing of it was sent. Wait until the
 * earlier writes are sent.
 *
 * @example
 * ```ts
 * import { BackpressureError, connPair } from '@ws/conn';
 *
 * const [client] = connPair({ maxBufferedAmount: 100_000 });
 * try {
 *   await Promise.all(Array.from({ length: 1000 }, () => client.send('x'.repeat(1000))));
 * } catch (error) {
 *   console.log(error instanceof BackpressureError); // true: await each send instead
 * }
 * ```
 */
export class BackpressureError extends WebSocketError {
  declare readonly code: 'WS_ERR_BACKPRESSURE';

  constructor(message: string) {
    super(message, 'WS_ERR_BACKPRESSURE');
  }

  override get name(): string {
    return 'BackpressureError';
  }
}

/** Quotes foreign text for an error message: at most 80 characters, escaped. */
export function quote(text: string): string {
  return `"${excerpt(text, 80)}"`;
}

/** Returns the first `most` characters of foreign text. All but printable ASCII is escaped. */
export function excerpt(text: string, most: number): string {
  const cut = text.length > most ? `${text.slice(0, most)}...` : text;
  return cut.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
