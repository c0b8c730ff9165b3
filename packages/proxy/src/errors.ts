import { WebSocketError } from '@ws/conn';

/** The stable codes of a {@link ProxyError}. */
export type ProxyErrorCode =
  | 'WS_ERR_PROXY_TARGET'
  | 'WS_ERR_PROXY_TIMEOUT'
  | 'WS_ERR_PROXY_REFUSED';

/**
 * The proxy has no connection to a target. The code says why:
 *
 * - `WS_ERR_PROXY_TARGET`: no target accepts connections, its answer is not a valid handshake, or it
 *   leads back to the proxy; the client gets 502, 503 or 508;
 * - `WS_ERR_PROXY_TIMEOUT`: `connectTimeout` or `handshakeTimeout` is over; the client gets 504;
 * - `WS_ERR_PROXY_REFUSED`: the target has refused the handshake; the client gets its answer. Over
 *   HTTP/2 a 2xx would accept, so the client gets 502.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { createProxy, ProxyError } from '@ws/proxy';
 *
 * const proxy = createProxy('ws://127.0.0.1:9000', {
 *   report(error) {
 *     if (error instanceof ProxyError) console.log(error.status, error.code);
 *   },
 * });
 * const server = createServer();
 * server.on('upgrade', proxy.handler);
 * ```
 */
export class ProxyError extends WebSocketError {
  declare readonly code: ProxyErrorCode;
  /** The HTTP status that the client gets. */
  readonly status: number;

  constructor(code: ProxyErrorCode, status: number, message: string, options?: ErrorOptions) {
    super(message, code, options);
    this.status = status;
  }

  override get name(): string {
    return 'ProxyError';
  }
}
