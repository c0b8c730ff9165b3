import type { SecureContextOptions } from 'node:tls';
import type { Conn } from '@ws/conn';
import type { CloseOptions, CloseResult } from './close-options.ts';
import type { ServerStats } from './stats.ts';

/**
 * A running server, whatever reads its requests.
 *
 * @typeParam Auth - The type of `data` of its connections.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export interface RunningServer<Auth = any> extends AsyncDisposable {
  /**
   * The URL that the server listens on, for example `ws://127.0.0.1:8080`. It is `''` until your
   * own `server` listens, and for a socket without an address: a Unix socket that came as a file
   * descriptor.
   */
  readonly url: string;
  /** The connections that are not closed yet. The set is live. */
  readonly connections: ReadonlySet<Conn<Auth>>;
  /** Counters, as they are now. */
  readonly stats: ServerStats;
  /**
   * Replaces the certificate for new connections. Options that are left out keep their values. Open
   * connections keep theirs.
   *
   * @throws TypeError on a server without TLS, and for options without a certificate; the error of
   *   node:tls for one that is invalid. The server then keeps its certificate.
   */
  reload(tls: SecureContextOptions): void;
  /**
   * Stops accepting and sends every connection a close frame. Resolves when all connections are
   * closed, pending answers are sent and the promises of all handlers have settled, at the latest
   * `timeout` ms after the last close frame; the remaining connections are terminated then. A
   * second call returns the same promise. Do not await `close` in a handler: each would wait for
   * the other until `timeout`.
   *
   * @param options - Default: the option `close`.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options?: CloseOptions): Promise<CloseResult>;
}
