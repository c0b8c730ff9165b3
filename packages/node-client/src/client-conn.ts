import type { IncomingHttpHeaders } from 'node:http';
import { Conn, type ConnOptions, type Transport } from '@ws/conn';

/** The server's response to a successful handshake. */
export interface HandshakeResponse {
  /** The HTTP status: 101, over HTTP/2 200. */
  readonly status: number;
  /** The headers as in node:http: names in lower case, `set-cookie` as an array. */
  readonly headers: IncomingHttpHeaders;
}

/**
 * A {@link Conn} that a dial has opened.
 *
 * @example
 * ```ts
 * import { dial } from '@ws/node-client';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0 }, (conn) => conn.discardReads());
 * await using conn = await dial(server.url);
 * console.log(conn.response.status); // 101
 * ```
 */
// oxlint-disable-next-line typescript/no-explicit-any -- as for Conn
export class ClientConn<Data = any> extends Conn<Data> {
  /** The server's response: its headers, and the status 101, or 200 over HTTP/2. */
  readonly response: HandshakeResponse;

  static {
    // TypeScript rejects `const { conn } = await dial(url)`. In JavaScript `conn` would be
    // undefined, and its first use would fail without a hint.
    Object.defineProperty(this.prototype, 'conn', {
      get() {
        throw new TypeError(
          'dial returns the connection itself; write: const conn = await dial(url)',
        );
      },
    });
  }

  /** @internal Use `dial` or a `Dialer`. */
  constructor(transport: Transport, options: ConnOptions, response: HandshakeResponse) {
    super(transport, options);
    this.response = response;
  }
}
