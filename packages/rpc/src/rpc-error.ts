import { whole } from '@ws/conn/internal';

/** The codes of JSON-RPC 2.0, section 5.1, and two of this library. */
export const ErrorCode = {
  ParseError: -32_700,
  InvalidRequest: -32_600,
  MethodNotFound: -32_601,
  InvalidParams: -32_602,
  InternalError: -32_603,
  /** Too many requests of this peer wait. */
  Busy: -32_000,
  /** The caller has cancelled the request before its handler began. */
  Cancelled: -32_800,
} as const;

/**
 * An error that a handler throws for its caller. The call rejects with an RpcError of the same
 * code, message and `data`. Any other error of a handler is reported where the handler runs, and the
 * caller gets only the code -32603.
 *
 * @see https://www.jsonrpc.org/specification#error_object
 *
 * @example
 * ```ts
 * import { RpcError } from '@ws/rpc';
 *
 * const refuse = (room: string) => {
 *   throw new RpcError(404, 'no such room', { room });
 * };
 * ```
 */
export class RpcError extends Error {
  /** A whole number. JSON-RPC reserves -32768 to -32000. */
  readonly code: number;
  /** A value that JSON can express, or undefined. Unchecked in an error from the peer. */
  readonly data: unknown;

  /** @throws TypeError or RangeError when `code` is not a whole number. */
  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = whole('RpcError(code, message): code', code, Number.MIN_SAFE_INTEGER);
    this.data = data;
  }

  override get name(): string {
    return 'RpcError';
  }

  /** @internal Marks the errors of all copies of this package. */
  get '@ws/rpc-error'(): true {
    return true;
  }
}

/** Whether `error` is an RpcError, of any copy of this package. */
export function isRpcError(error: unknown): error is RpcError {
  return isTrue(() => (Object(error) as Partial<RpcError>)['@ws/rpc-error'] === true);
}

/** The result of `test`; false if `test` throws, because it reads a Proxy for example. */
export function isTrue(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}
