import {
  CloseSentError,
  type Conn,
  type ReportContext,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { internalsOf, reportError } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { isInstance } from '@ws/node-io/internal';
import type { AppRequest, HandshakeRequest } from './conn-handler.ts';
import { failedFunction, HandshakeError } from './errors.ts';

/** The second argument of `report`. */
export interface ServerReportContext<Req = HandshakeRequest> extends ReportContext {
  /** The request, for the functions that run before there is a connection. */
  readonly request?: Req | undefined;
}

/** The option `report` of a server. */
export type ServerReport<Req = HandshakeRequest> = (
  error: unknown,
  context: ServerReportContext<Req>,
) => void;

/** Reported by {@link ErrorReporter.nothingReturned}. */
const reportedNothing = new Set<string>();

/** Reports the errors of the application's own functions to the option `report`. */
export class ErrorReporter {
  readonly #report: ServerReport<AppRequest> | undefined;
  /** The functions that {@link overdue} has reported. */
  readonly #overdue = new Set<string>();

  constructor(report: ServerReport<AppRequest> | undefined) {
    this.#report = report;
  }

  /**
   * Reports why an upgrade failed. Refusals and clients that have disconnected are not errors of
   * the server.
   */
  handshakeFailed(error: unknown, request: AppRequest, route: string | undefined): void {
    const context = { where: 'upgrade', request, route };
    if (isInstance(error, HandshakeError)) {
      const where = failedFunction(error) ?? 'upgrade';
      // A 500 that the application chose itself has no cause: nothing failed.
      if (error.status === 500 && 'cause' in error) {
        this.failed(error.cause ?? error, { ...context, where, status: error.status });
      }
    } else if (!isInstance(error, TransportError)) {
      this.failed(error, context);
    }
  }

  /**
   * Fails the connection of a failed handler. Reports the error unless it is the end of this same
   * connection, or the connection has reported it.
   */
  handlerFailed(conn: Conn, error: unknown, route: string | undefined): void {
    const internals = internalsOf(conn);
    const wasOpen = conn.state === 'open';
    const isOwnEnd = internals.endedWith(error);
    if (wasOpen || !isOwnEnd) void internals.closeAfterError(error);
    // The connection began to close before the handler failed.
    const isLate = !wasOpen && isInstance(error, CloseSentError);
    if (!isOwnEnd && !isLate) this.failed(error, { conn, where: 'handler', route });
  }

  /**
   * Reports, once for each function, calls of the application that are still pending when the time of
   * the handshake is up.
   *
   * @param timeout - The option handshakeTimeout, in ms.
   */
  overdue(names: readonly string[], timeout: number, request: AppRequest): void {
    for (const where of names) {
      if (this.#overdue.has(where)) continue;
      this.#overdue.add(where);
      this.failed(overdueError(where, timeout), { where, request });
    }
  }

  /**
   * Reports, once in a process, that `authenticate` or `checkOrigin` has returned undefined. Each client
   * is refused then, and a forgotten `return` looks like wrong credentials.
   */
  nothingReturned(
    where: 'authenticate' | 'checkOrigin',
    request: AppRequest,
    route: string | undefined,
  ): void {
    if (reportedNothing.has(where)) return;
    reportedNothing.add(where);
    const [status, data] = where === 'checkOrigin' ? [403, ''] : [401, ' without data'];
    const error = new TypeError(
      `${where} returned undefined, which refuses with ${status}; return true to admit${data}, false to refuse (reported once)`,
    );
    this.failed(error, { where, request, route });
  }

  /** Reports that a close waits for handlers, although all connections are closed. */
  closeWaits(count: number): void {
    const what = count === 1 ? '1 handler that has' : `${count} handlers that have`;
    const error = new Error(
      `close() waits for ${what} not ended with the connections; in a handler, call close() without await: each would wait for the other until timeout`,
    );
    this.failed(error, { where: 'close' });
  }

  /** Reports an error of a function; its caller continues. Never throws. */
  failed(error: unknown, context: ServerReportContext<AppRequest>): void {
    reportError(this.#report, nodePlatform, error, context);
  }
}

function overdueError(name: string, ms: number): TimeoutError {
  return new TimeoutError(
    `${name} has not settled within ${ms} ms (option handshakeTimeout) and no longer counts against the limits; settle it when its signal aborts (reported once)`,
  );
}
